//! The pictures of a prompt: from files to pixels at the size at which the model is shown them.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use super::encoder::Encoder;
use super::picture_size::{Detail, PictureLimits, ShownPicture, Wanted, longest_edge};
use super::{Picture, PictureContent, Reading, Scope, SizedPicture, sizing};
use crate::config::PixelSize;
use crate::engine::control::RequestControl;
use crate::error::{Error, Result};
use crate::families::Pictures;
use crate::image::{Fingerprint, Rgb8, fingerprint, fingerprint_in};

/// Largest picture that is decoded, in millions of pixels. A browser scales larger ones down while it decodes them.
const MEGAPIXELS: u32 = 100;
/// Most millions of pixels that are decoded for a request.
const REQUEST_MEGAPIXELS: u64 = 400;

/// Source of a picture, its owner, and the bounds of its size.
#[derive(Clone, Copy)]
struct Identity {
    source: Fingerprint,
    detail: Detail,
    limits: PictureLimits,
    scope: Scope,
}

impl Identity {
    /// Returns true if a picture has the same owner and bounds.
    fn is_of(&self, picture: &SizedPicture) -> bool {
        (picture.shown.detail, picture.limits, picture.scope) == (self.detail, self.limits, self.scope)
    }
}

fn pixels(size: PixelSize) -> u64 {
    (size.width as u64) * (size.height as u64)
}

/// Checks the number of pixels of all pictures of a request.
fn check_pixels(pixels: u64) -> Result<()> {
    let megapixels = pixels.div_ceil(1_000_000);
    if megapixels <= REQUEST_MEGAPIXELS {
        return Ok(());
    }
    let reason = format!("the pictures have {megapixels} megapixels together, more than {REQUEST_MEGAPIXELS}");
    Err(Error::request("pictures", reason))
}

impl Encoder {
    /// The pictures at the sizes at which they are shown. A picture that some conversation or prompt holds keeps its size, although the
    /// device's rate may have changed, since its entries are in the KV cache; and its file is not decoded again.
    pub(super) fn size_pictures(
        &self,
        pictures: &[Picture],
        limits: PictureLimits,
        Reading { control, scope }: Reading<'_>,
    ) -> Result<Vec<Arc<SizedPicture>>> {
        let Some(rules) = self.picture_rules() else {
            let refusal = Error::request("pictures[0]", "this model reads no pictures");
            return if pictures.is_empty() { Ok(Vec::new()) } else { Err(refusal) };
        };
        let identity =
            |picture: &Picture| Identity { source: picture.content.source(), detail: picture.detail, limits, scope };
        let identities: Vec<Identity> = pictures.iter().map(identity).collect();
        let pairs = || pictures.iter().zip(identities.iter().copied());
        let new: Vec<(&Picture, Identity)> = pairs().filter(|(_, identity)| self.held(*identity).is_none()).collect();
        self.check_sizes(rules, &new)?;
        // One after the other: decoded pictures are large.
        pairs().map(|(picture, identity)| self.size(rules, picture, (identity, new.len(), control))).collect()
    }

    fn held(&self, identity: Identity) -> Option<Arc<SizedPicture>> {
        self.find_held(|source, picture| *source == identity.source && identity.is_of(picture))
    }

    /// Refuses the pictures of several prompts of a request that are too large together, before any is decoded.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`].
    pub fn check_pictures(&self, pictures: &[Picture]) -> Result<()> {
        let mut seen = HashSet::new();
        let new = pictures.iter().filter(|Picture { content, .. }| seen.insert(content.source()));
        check_pixels(new.filter_map(|Picture { content, .. }| self.size_in_header(content)).map(pixels).sum())
    }

    /// Refuses pictures by the sizes in the headers of their files, before any is decoded.
    fn check_sizes(&self, rules: &dyn Pictures, new: &[(&Picture, Identity)]) -> Result<()> {
        let (mut seen, mut sum, mut tokens) = (HashSet::new(), 0, 0);
        for (Picture { content, .. }, Identity { source, .. }) in new {
            let Some(size) = self.size_in_header(content) else { continue };
            if seen.insert(*source) {
                sum += pixels(size);
            }
            // The fewest tokens of a picture of this shape at any size.
            tokens += rules.tokens(rules.grid(size, rules.cell())?).len();
        }
        check_pixels(sum)?;
        self.check_tokens(tokens)
    }

    /// The size of a picture; `None` for files that are refused when they are decoded, and where headers are not read.
    fn size_in_header(&self, content: &PictureContent) -> Option<PixelSize> {
        let read_size = self.read_size?;
        match content {
            PictureContent::Rgb(rgb) => Some(PixelSize::from(rgb)),
            PictureContent::Encoded(bytes) => read_size(bytes).filter(|size| size.width > 0 && size.height > 0),
        }
    }

    fn size(
        &self,
        rules: &dyn Pictures,
        picture: &Picture,
        (identity, pictures, control): (Identity, usize, &RequestControl),
    ) -> Result<Arc<SizedPicture>> {
        if let Some(held) = self.held(identity) {
            return Ok(held);
        }
        control.check()?;
        let Identity { source, detail, .. } = identity;
        let rgb = &match &picture.content {
            PictureContent::Rgb(rgb) => Cow::Borrowed(rgb),
            PictureContent::Encoded(bytes) => Cow::Owned((self.decode)(bytes, MEGAPIXELS)?),
        };
        rgb.check()?;
        let original = fingerprint(rgb);
        // The same pixels may have come in another file.
        let same = |_: &_, held: &SizedPicture| held.original == original && identity.is_of(held);
        let sized = match self.find_held(same) {
            Some(held) => held,
            None => {
                let longest_edge = self.longest_edge.min(rules.largest_edge());
                let wanted = Wanted { size: (&**rgb).into(), detail, longest_edge, pictures };
                Arc::new(self.resize(rules, (rgb, original), wanted, identity)?)
            }
        };
        self.hold(source, &sized);
        Ok(sized)
    }

    fn resize(
        &self,
        rules: &dyn Pictures,
        (rgb, original): (&Rgb8, Fingerprint),
        wanted: Wanted,
        Identity { limits, scope, .. }: Identity,
    ) -> Result<SizedPicture> {
        let known = self.known_edge(&sizing(&original, wanted.detail, limits));
        let edge = match known.filter(|edge| (rules.cell()..=wanted.longest_edge).contains(edge)) {
            Some(edge) => edge,
            None => longest_edge(rules, wanted, limits, |grid| self.seconds.seconds(grid))?,
        };
        let prepared = rules.prepare(rgb, edge)?;
        let (grid, most) = (prepared.grid, wanted.longest_edge);
        let (width, height, tokens) = (prepared.width, prepared.height, rules.tokens(grid).len());
        let is_cut = edge == most && most < rules.largest_edge() && rgb.width.max(rgb.height) as usize > edge;
        Ok(SizedPicture {
            fingerprint: fingerprint_in(&original, grid, scope.number()),
            original,
            prepared,
            shown: ShownPicture { detail: wanted.detail, width, height, tokens },
            limits,
            scope,
            edge,
            cut_to: is_cut.then_some(edge),
        })
    }
}
