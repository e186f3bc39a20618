//! `ocelli chat`: a conversation on the terminal.

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use clap::Args;
use ocelli::Result;
use ocelli::chat::{Message, Role};
use ocelli::engine::{Detail, Engine, Picture};

use crate::shared::args::SamplingArgs;
use crate::shared::ask;
use crate::shared::io;
use crate::shared::kept::{self, KeepArgs};
use crate::shared::models::PackagePath;
use crate::shared::open;

/// Talk to a model. `/image FILE` shows it a picture, `/new` starts over, `/quit` ends.
#[derive(Args)]
pub(crate) struct ChatArgs {
    /// The package: a directory, or the name of a model that was pulled.
    package: PackagePath,
    /// System message.
    #[arg(long)]
    system: Option<String>,
    #[command(flatten)]
    keep: KeepArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
}

/// The conversation so far.
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
        self.pictures.push(ask::picture(path, detail)?);
        self.shown.push(self.pictures.len() - 1);
        Ok(())
    }
}

/// An error in one question is printed, and the conversation continues.
pub(crate) fn run(args: &ChatArgs) -> Result<()> {
    let mut engine = pollster::block_on(open::engine(&args.package, args.sampling.context, &args.sampling.memory))?;
    args.keep.open(&mut engine)?;
    let outcome = talk(&mut engine, args);
    kept::keep(&mut engine, &mut || true);
    outcome
}

fn talk(engine: &mut Engine, args: &ChatArgs) -> Result<()> {
    let (mut talk, lines) = (Conversation::new(args.system.as_deref()), lines());
    loop {
        let Some(line) = ask(engine, &lines)? else { return Ok(()) };
        let said = match line.trim() {
            "" => continue,
            "/quit" | "/exit" => return Ok(()),
            "/new" => {
                talk = Conversation::new(args.system.as_deref());
                continue;
            }
            line => match line.strip_prefix("/image ") {
                Some(path) => talk.show(Path::new(path.trim()), args.sampling.detail),
                None => answer(engine, args, &mut talk, line),
            },
        };
        if let Err(error) = said {
            io::complain(&error);
        }
    }
}

/// Lines of the terminal.
fn lines() -> Receiver<std::io::Result<String>> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        // The receiver is gone once the command ends.
        std::io::stdin().lock().lines().map(|line| sender.send(line)).find(std::result::Result::is_err)
    });
    lines
}

/// One line of the terminal; `None` at its end. Snapshots are written while waiting.
fn ask(engine: &mut Engine, lines: &Receiver<std::io::Result<String>>) -> Result<Option<String>> {
    let _ = write!(std::io::stderr(), "> ");
    let mut line = None;
    kept::keep(engine, &mut || {
        line = line.take().or_else(|| lines.try_recv().ok());
        line.is_none()
    });
    let line = line.or_else(|| lines.recv().ok());
    line.transpose().map_err(|error| ocelli::Error::io("standard input", &error))
}

fn answer(engine: &mut Engine, args: &ChatArgs, talk: &mut Conversation, line: &str) -> Result<()> {
    let mut messages = talk.messages.clone();
    messages.push(ask::question(talk.shown.iter().copied(), line));
    let conversation = (messages.clone(), talk.pictures.clone());
    let completion = ask::answer(engine, conversation, &args.sampling, true, |event| io::tell(&event))?;
    messages.push(Message::text(Role::Assistant, completion.text));
    talk.messages = messages;
    talk.shown.clear();
    Ok(())
}
