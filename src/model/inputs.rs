//! Inputs of a chunk: tokens, and pictures, which are also announced to the state.

use super::forward::Model;
use super::language::{Features, Input};
use crate::error::{Error, Result};
use crate::kernels::embed_rows::FEATURE;
use crate::state::{ConversationState, State};

impl Model {
    /// Binds the picture at the start of the pass. Further picture inputs are padding and are ignored.
    pub(super) async fn show_picture(
        &self,
        state: &mut State,
        inputs: &[Input],
        features: Option<&Features>,
    ) -> Result<()> {
        if inputs.windows(2).any(|pair| matches!(pair[1], Input::Feature(_)) && pair[0] != pair[1]) {
            return Err(Error::Internal { detail: "picture input inside a pass".into() });
        }
        let (Some(&Input::Feature(row)), Some(features)) = (inputs.first(), features) else { return Ok(()) };
        let cells = features.picture(row).map_or(0, |(_, grid)| grid.rows * grid.cols);
        let rows = row as usize..row as usize + cells * features.of_token;
        state.show_picture(&self.gpu, rows, self.rows.prompt).await
    }

    /// Source words of the rows of a chunk, as kernels read them.
    pub(super) fn sources(&self, inputs: &[Input], features: Option<&Features>) -> Result<Vec<u32>> {
        if inputs.is_empty() || inputs.len() > self.rows.prompt {
            return Err(Error::Internal { detail: format!("a chunk of {} inputs", inputs.len()) });
        }
        let rows = features.map_or(0, |features| features.rows);
        // If pictures have layers of their own, their tokens start from the embedding.
        let image_token = self.config().cross.as_ref().map(|cross| cross.image_token_id);
        let source = |input: &Input| match *input {
            Input::Token(id) if (id as usize) < self.config().embedding_rows() => Ok(id),
            Input::Token(id) => Err(Error::request("input_ids", format!("token {id} is not in the vocabulary"))),
            Input::Feature(row) if (row as usize) < rows => Ok(image_token.unwrap_or(row | FEATURE)),
            Input::Feature(row) => Err(Error::Internal { detail: format!("feature {row} of {rows}") }),
        };
        inputs.iter().map(source).collect()
    }
}

/// Records in the state the pictures that begin among the inputs after its entries, or continue from before.
pub(super) fn place_pictures(state: &mut State, inputs: &[Input], features: &Features) {
    let first_entry = state.len();
    for (index, input) in inputs.iter().enumerate() {
        let Input::Feature(row) = input else { continue };
        // Pictures can continue at the first row only; padding repeats the last row.
        if let Some((before, grid)) = features.picture(*row)
            && (index == 0 || before == 0)
            && let Some(first) = (first_entry + index).checked_sub(before)
        {
            state.place_picture(first, grid);
        }
    }
}
