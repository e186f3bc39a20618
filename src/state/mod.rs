//! The state that a model keeps for the entries of a conversation, layer by layer: keys and values of attention, and in [`LayerState`] the
//! states of layers that are not a list of entries (recurrent layers, keys of pictures).
//!
//! Contract (callers must not rely on more): a state only grows, by the rows of submitted passes, and shrinks by [`ConversationState::rewind`],
//! which returns how far it was rewound. Rows computed in vain (padding, rejected drafts, autotune runs) count until the state is rewound to
//! before them, because they are part of every later recurrent state.

mod decoder_state;
mod outline;
mod pages;
mod pictures;
mod pool;
mod positions;
mod recurrent;
mod stored;

pub use crate::kernels::cache::PAGE;
pub use decoder_state::State;
pub use outline::{Held, Outline, Part, Shape};
pub use pages::Pages;
pub use pictures::{FreshRows, NewPicture, PictureState};
pub use pool::Pool;
pub use positions::Positions;
pub use recurrent::DeltaState;

use crate::kernels::cache::Cache;

/// The state of one layer.
#[derive(Debug)]
pub enum LayerState {
    /// Keys and values of every entry, in pages that the step buffer names.
    Kv(Cache),
    /// The recurrent state after all entries.
    Delta(DeltaState),
    /// Keys and values of the visible pictures; none before the first picture.
    Pictures(Option<PictureState>),
}

/// The states of all layers of one conversation.
pub trait ConversationState: Sized {
    /// Entries held: rows of all submitted passes, less those that were rewound.
    fn len(&self) -> usize;

    /// Returns true if no entry is held.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes the current length one to which [`Self::rewind`] returns exactly. To be called before computing rows that may be discarded, except
    /// for a pass over drafts, which can be rewound to any of its rows. Free if every layer can be rewound to any entry.
    fn checkpoint(&mut self);

    /// Rewinds to `to` entries, or to the last checkpoint before if a layer cannot. Returns the remaining entries; those up to `to` must be
    /// computed again.
    fn rewind(&mut self, to: usize) -> usize;

    /// The number of entries that [`Self::rewind`] would leave.
    fn rewind_target(&self, to: usize) -> usize;

    /// Copy-on-write fork at [`Self::idle_len`] entries; later changes to either state are invisible to the other.
    #[must_use]
    fn fork(&self) -> Self;

    /// Entries that an idle conversation still holds, that is, after [`Self::make_idle`].
    fn idle_len(&self) -> usize;

    /// Protects the memory of the entries from eviction, or allows eviction again.
    fn pin(&mut self, pinned: bool);

    /// Frees the memory that only an active conversation needs. Returns the remaining entries.
    fn make_idle(&mut self) -> usize;
}
