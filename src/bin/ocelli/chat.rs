//! `ocelli chat`: a conversation on the terminal.

use std::io::{BufRead, Write};
use std::path::Path;

use clap::Args;
use ocelli::Result;
use ocelli::chat::{Message, Role};
use ocelli::engine::{Detail, Engine, Picture};

use crate::models::PackagePath;
use crate::open::{self, SamplingArgs};

/// Talk to a model. `/image FILE` shows it a picture, `/new` starts over, `/quit` ends.
#[derive(Args)]
pub(crate) struct ChatArgs {
    /// The package: a directory, or the name of a model that was pulled.
    package: PackagePath,
    /// System message.
    #[arg(long)]
    system: Option<String>,
    #[command(flatten)]
    sampling: SamplingArgs,
}

/// What was said and shown.
#[derive(Default)]
struct Conversation {
    messages: Vec<Message>,
    pictures: Vec<Picture>,
    /// Pictures that the next question is about.
    shown: Vec<usize>,
}

impl Conversation {
    fn new(system: Option<&str>) -> Self {
        let messages = system.map(|text| Message::text(Role::System, text)).into_iter().collect();
        Self { messages, ..Self::default() }
    }

    fn show(&mut self, path: &Path, detail: Detail) -> Result<()> {
        self.pictures.push(open::picture(path, detail)?);
        self.shown.push(self.pictures.len() - 1);
        Ok(())
    }
}

/// An error in one question is printed, and the conversation goes on.
pub(crate) fn run(args: &ChatArgs) -> Result<()> {
    let mut engine = pollster::block_on(open::engine(&args.package, args.sampling.context, &args.sampling.memory))?;
    let mut talk = Conversation::new(args.system.as_deref());
    loop {
        let Some(line) = ask()? else { return Ok(()) };
        let said = match line.trim() {
            "" => continue,
            "/quit" | "/exit" => return Ok(()),
            "/new" => {
                talk = Conversation::new(args.system.as_deref());
                continue;
            }
            line => match line.strip_prefix("/image ") {
                Some(path) => talk.show(Path::new(path.trim()), args.sampling.detail),
                None => answer(&mut engine, args, &mut talk, line),
            },
        };
        if let Err(error) = said {
            crate::complain(&error);
        }
    }
}

/// One line from the terminal; `None` at its end.
fn ask() -> Result<Option<String>> {
    let _ = write!(std::io::stderr(), "> ");
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line).map_err(|e| ocelli::Error::io("standard input", &e))?;
    Ok((read > 0).then_some(line))
}

fn answer(engine: &mut Engine, args: &ChatArgs, talk: &mut Conversation, line: &str) -> Result<()> {
    let mut messages = talk.messages.clone();
    messages.push(open::question(talk.shown.iter().copied(), line));
    let conversation = (messages.clone(), talk.pictures.clone());
    let completion = open::answer(engine, conversation, &args.sampling, true, |event| crate::tell(&event))?;
    messages.push(Message::text(Role::Assistant, completion.text));
    talk.messages = messages;
    talk.shown.clear();
    Ok(())
}
