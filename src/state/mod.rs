//! What a model keeps of the entries of a conversation, layer by layer: keys and values of attention. Layers whose state is
//! not a list of entries (a recurrence, the keys of pictures) are further variants of [`LayerState`].
//!
//! The contract, which callers must not be cleverer than: a state only grows, by the rows of the passes that were submitted, and goes
//! back by [`ConversationState::rewind`], which says how far back it really got. Rows that were computed in vain (padding, drafts that were
//! wrong, trials) count as long as nobody has gone back behind them: in a recurrence they are part of every later state.

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

/// What one layer keeps.
#[derive(Debug)]
pub enum LayerState {
    /// Keys and values of every entry, in pages that the step buffer names.
    Kv(Cache),
    /// What a recurrence remembers of all of them.
    Delta(DeltaState),
    /// Keys and values of the pictures in sight; none before the first.
    Pictures(Option<PictureState>),
}

/// The states of all layers of one conversation.
pub trait ConversationState: Sized {
    /// Entries held: rows of all passes submitted, less those gone back behind.
    fn len(&self) -> usize;

    /// Whether no entry is held.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes the present one of the places that [`Self::rewind`] gets back to exactly. Whoever is about to compute rows that may turn
    /// out to be in vain calls it first, but for those of a pass over drafts: behind it there is a way back to each of them. Costs nothing where
    /// every layer can go back anywhere.
    fn checkpoint(&mut self);

    /// Goes back to `to` entries, or if some layer cannot, to the latest place before. Returns the entries that are left; what lies
    /// between them and `to` has to be computed again.
    fn rewind(&mut self, to: usize) -> usize;

    /// The entries that [`Self::rewind`] would leave.
    fn rewind_target(&self, to: usize) -> usize;

    /// A state at the entries that [`Self::idle_len`] says: what either of the two is continued by, the other does not see.
    #[must_use]
    fn fork(&self) -> Self;

    /// Entries that a conversation still holds which nobody goes on with: those of [`Self::make_idle`].
    fn idle_len(&self) -> usize;

    /// Has the memory of its entries be kept whatever others need, or lets it go.
    fn pin(&mut self, pinned: bool);

    /// Gives up the memory that only a conversation which goes on needs. Returns the entries that are left.
    fn make_idle(&mut self) -> usize;
}
