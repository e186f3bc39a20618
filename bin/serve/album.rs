//! Pictures that requests name: `data:` URLs, uploaded files, and files of a folder and pictures of hosts that the server was started with.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use ocelli::api::{PictureUrl, Work};
use ocelli::engine::Picture;
use ocelli::{Error, Result};

use crate::fetch::hosts::{Host, TIME, get};
use crate::fetch::is_address;
use crate::shared::api;
use crate::shared::ask::{MOST_BYTES, PictureFolder, file_bytes, picture_at};
use crate::shared::callers::Caller;
use crate::shared::pdf;
use crate::store::{FileObject, Store};

/// Places of pictures beside the requests themselves.
pub(super) struct Album {
    pub(super) store: Arc<Store>,
    /// The folder that clients may name files of.
    pub(super) folder: Option<PathBuf>,
    /// Hosts whose pictures clients may name.
    pub(super) hosts: Vec<Host>,
}

impl Album {
    /// Reads the pictures of a request.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] that names the field.
    pub(super) fn pictures(&self, work: &Work, caller: &Caller) -> Result<Vec<Picture>> {
        let (mut room, end) = (MOST_BYTES, Instant::now() + TIME);
        let read = |picture: &PictureUrl| match (picture.file_id(), &self.folder) {
            (Some(id), _) => self.uploaded(picture, (id, caller), &mut room),
            (None, Some(folder)) if is_file(&picture.url) => in_folder(picture, folder, &mut room),
            _ if !self.hosts.is_empty() && is_address(&picture.url) => {
                let refuse = |reason: String| Error::request(&picture.field, reason);
                let bytes = get(&picture.url, &self.hosts, room, end).map_err(refuse)?;
                take(&mut room, bytes.len() as u64, picture)?;
                Ok(Picture::encoded(bytes).at(picture.detail))
            }
            _ => api::sent_picture(picture),
        };
        work.pictures.iter().map(read).collect()
    }

    /// The bytes of an uploaded document that the sender of the request may read; `None` for any other file.
    pub(super) fn document(&self, id: &str, caller: &Caller) -> Option<Vec<u8>> {
        let file: FileObject = self.store.get_for(caller, id).filter(|file: &FileObject| file.bytes <= MOST_BYTES)?;
        let bytes = std::fs::read(self.store.bytes(&file.id)).ok()?;
        pdf::is_pdf(&bytes).then_some(bytes)
    }

    /// An uploaded file that the sender of the request may read.
    fn uploaded(&self, picture: &PictureUrl, (id, caller): (&str, &Caller), room: &mut u64) -> Result<Picture> {
        let missing = || Error::request(&picture.field, format!("there is no file {id:?}"));
        let file: FileObject = self.store.get_for(caller, id).ok_or_else(missing)?;
        take(room, file.bytes, picture)?;
        let mut bytes = Vec::new();
        let read =
            File::open(self.store.bytes(&file.id)).and_then(|open| open.take(MOST_BYTES).read_to_end(&mut bytes));
        read.map_err(|_| missing())?;
        Ok(Picture::encoded(bytes).at(picture.detail))
    }
}

/// Returns true for a `file:` URL and for a path.
fn is_file(url: &str) -> bool {
    url.starts_with("file:") || !url.contains(':')
}

/// A file of the folder. The error is the same for all others, so that it reveals none of them.
fn in_folder(picture: &PictureUrl, folder: &Path, room: &mut u64) -> Result<Picture> {
    let found = picture_at(&picture.url, picture.detail, PictureFolder { base: folder, any_path: false });
    let found = found.map_err(|_| Error::request(&picture.field, "is no file in the folder of --media-path"))?;
    take(room, file_bytes(&found), picture)?;
    Ok(found)
}

/// Takes bytes of a picture from what is left for a request.
fn take(room: &mut u64, bytes: u64, picture: &PictureUrl) -> Result<()> {
    let reason = || format!("the files of a request have at most {MOST_BYTES} bytes");
    *room = room.checked_sub(bytes).ok_or_else(|| Error::request(&picture.field, reason()))?;
    Ok(())
}
