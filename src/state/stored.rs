//! Conversion of a conversation's state to bytes and back.

use super::ConversationState;
use super::decoder_state::State;
use super::outline::{Held, Outline, Part, Shape};
use super::pool::Pool;
use crate::error::{Error, Result};
use crate::gpu::{Gpu, Slice};

impl State {
    /// The outline of what can be stored.
    pub(crate) fn outline(&self) -> Outline {
        let (shown, shown_rows) = self.pool.pictures(|pictures| pictures.shown(self.list));
        let places = self.recurrent.as_ref().map(|recurrent| recurrent.places()).unwrap_or_default();
        let outline =
            Outline { entries: self.len(), placed: self.positions.pictures().to_vec(), places, shown, shown_rows };
        // Recurrent layers have no state between checkpoints.
        if self.recurrent.is_some() && outline.places.is_empty() { Outline::default() } else { outline.cut(self.len()) }
    }

    /// Sizes that determine the bytes of states.
    pub(crate) fn shape(pool: &Pool) -> Shape {
        Shape::new(pool.config(), pool.precision(), Self::recurrent_bytes(pool.config()))
    }

    /// Buffer ranges of a part, by plane.
    pub(crate) fn slices(&self, part: &Part) -> Result<Vec<Slice>> {
        let slices = match &part.what {
            Held::Entries { layer, entries } => self.pool.page(self.list, *layer, entries),
            Held::Place { place, bytes } => {
                let buffer = self.recurrent.as_ref().and_then(|recurrent| recurrent.place(*place));
                buffer.map(|buffer| vec![buffer.slice(bytes.clone())])
            }
            Held::Pictures { layer, rows } => {
                let seen = self.pool.pictures(|pictures| pictures.layer(self.list, *layer));
                seen.map(|seen| self.pool.picture_rows(&seen.cache, rows))
            }
        };
        slices.ok_or_else(|| Error::Internal { detail: format!("a state without {:?}", part.what) })
    }

    /// A state with this outline, whose parts must be [written](Self::slices) before it is used. Picture rows are computed `at_once` at a time.
    /// Fails like [`State::reserve`] and [`State::show_picture`].
    pub(crate) async fn restore(
        gpu: &Gpu,
        pool: &Pool,
        (context, at_once): (usize, usize),
        outline: &Outline,
    ) -> Result<Self> {
        let mut state = Self::new(pool, context);
        state.reserve(gpu, outline.entries).await?;
        if outline.shown_rows > 0 {
            pool.restore_pictures(gpu, state.list, (&outline.shown, outline.shown_rows), at_once).await?;
        }
        if let Some(recurrent) = &state.recurrent {
            recurrent.restore(gpu, &outline.places)?;
        }
        pool.pages(|pages| pages.advance(state.list, outline.entries));
        outline.placed.iter().for_each(|(first, grid)| state.positions.place(*first, *grid));
        Ok(state)
    }
}
