//! Requests in an order that takes the most memory.

use ocelli::Result;
use ocelli::config::PixelSize;
use ocelli::engine::{Engine, Picture, Prompt, Request, RequestControl};
use ocelli::families::definition;
use ocelli::image::Rgb8;
use ocelli::sampling::SamplingOptions;

/// A part of a prompt.
#[derive(Clone, Copy)]
enum Piece {
    Words(usize),
    /// A picture of this many rows and columns of tokens, in a shade of grey.
    Picture(usize, usize, u8),
}

/// Conversion of pictures to tokens.
#[derive(Clone, Copy)]
struct Eyes {
    /// Pixels of a token's side.
    step: usize,
    /// Tokens of the largest picture's side.
    most: usize,
}

/// A picture first, then words to the end; words first, then a picture at the end; small pictures together; a new talk while the
/// cache is full. `most` is the side of the largest picture, which takes `tokens` tokens.
fn prompts(context: usize, most: usize, tokens: usize) -> Vec<Vec<Piece>> {
    use Piece::{Picture, Words};
    let left = context - tokens - 4;
    vec![
        vec![Words(1), Picture(most, most, 1), Words(3)],
        vec![Words(1), Picture(most, most, 1), Words(left)],
        vec![Words(left), Picture(most, most, 2), Words(2)],
        vec![Words(2), Picture(1, 2, 3), Words(4), Picture(2, 1, 4), Words(1)],
        vec![Words(context - 2)],
        vec![Words(1), Picture(most, most, 5), Words(1)],
    ]
}

fn picture(eyes: Eyes, rows: usize, columns: usize, level: u8) -> Picture {
    let (width, height) = ((columns * eyes.step) as u32, (rows * eyes.step) as u32);
    let pixels = (0..width * height * 3).map(|i| level.wrapping_mul(37).wrapping_add((i % 251) as u8)).collect();
    Picture::rgb(Rgb8 { width, height, pixels })
}

fn prompt(engine: &Engine, eyes: Eyes, pieces: &[Piece]) -> (Prompt, Vec<Picture>) {
    let rules = definition(engine.config()).pictures().expect("a model with eyes");
    let (mut ids, mut pictures) = (Vec::new(), Vec::new());
    for piece in pieces {
        match *piece {
            Piece::Words(count) => ids.extend((0..count as u32).map(|i| 100 + (i * 7 + count as u32) % 90)),
            Piece::Picture(rows, columns, level) => {
                let size = PixelSize { width: columns * eyes.step, height: rows * eyes.step };
                ids.extend(rules.tokens(rules.grid(size, engine.plan().longest_edge).expect("a grid")));
                pictures.push(picture(eyes, rows, columns, level));
            }
        }
    }
    (Prompt::Ids(ids), pictures)
}

/// The greedy tokens of every answer; one prompt is also scored, because of its memory.
pub(crate) async fn answers(engine: &mut Engine) -> Result<Vec<Vec<u32>>> {
    let rules = definition(engine.config()).pictures().expect("a model with eyes");
    let (step, edge) = (rules.cell(), engine.plan().longest_edge);
    let tokens = rules.tokens(rules.grid(PixelSize { width: edge, height: edge }, edge)?).len();
    let eyes = Eyes { step, most: edge / step };
    let prompts = prompts(engine.plan().context, eyes.most, tokens);
    let mut said = Vec::new();
    for pieces in &prompts {
        let (prompt, pictures) = prompt(engine, eyes, pieces);
        let request = Request {
            prompt,
            pictures,
            sampling: SamplingOptions { temperature: 0.0, ..SamplingOptions::default() },
            max_tokens: Some(4),
            stop: Vec::new(),
            grammar: None,
        };
        said.push(engine.generate(&request, &RequestControl::new(), &mut |_| ()).await?.tokens);
    }
    let (prompt, pictures) = prompt(engine, eyes, &prompts[1]);
    engine.score(&prompt, &pictures, usize::MAX, &RequestControl::new(), &mut |_| Ok(())).await?;
    Ok(said)
}
