//! `ocelli chat` and `ocelli run`: a conversation on the terminal.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use ocelli::chat::{ContentPart, Message, Role};
use ocelli::engine::{Detail, Engine, FinishReason, Picture};
use ocelli::{Error, Result};

use crate::shared::args::SamplingArgs;
use crate::shared::ask::{self, Asking};
use crate::shared::io;
use crate::shared::kept::{self, KeepArgs};
use crate::shared::models::PackagePath;
use crate::shared::open;

mod command;
mod interrupt;
mod lines;

use command::Command;
use interrupt::Interrupts;
use lines::{Line, Lines};

const HELP: &str = "\
/image FILE      show a picture, or a page of a document: a.pdf#page=2
/regenerate      answer the last question again
/new             start over
/save FILE       write the conversation to a file
/quit            end; so does Ctrl-D
//TEXT           ask a question that begins with a slash
A line that ends in \\ continues on the next line. Ctrl-C ends an answer, not the conversation.";

/// Talk to a model. `/help` lists the commands, among them `/image FILE`, which shows it a picture. Ctrl-C ends an answer.
#[derive(Args)]
pub(crate) struct ChatArgs {
    /// The package: a directory, or the name of a model [default: the only model that was pulled].
    #[arg(env = "OCELLI_MODEL", default_value = "", hide_default_value = true)]
    pub(crate) package: PackagePath,
    /// System message.
    #[arg(long)]
    system: Option<String>,
    /// File of earlier lines, which the up arrow brings back. Without it they are kept until the end only.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
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
    /// Times that the last question was answered again.
    attempt: u64,
}

impl Conversation {
    fn new(system: Option<&str>) -> Self {
        let messages = system.map(|text| Message::text(Role::System, text)).into_iter().collect();
        Self { messages, ..Self::default() }
    }

    fn show(&mut self, name: &str, detail: Detail) -> Result<()> {
        self.pictures.push(ask::picture(name, detail)?);
        self.shown.push(self.pictures.len() - 1);
        Ok(())
    }

    /// Takes back the last answer.
    ///
    /// # Errors
    /// `invalid-request` if there is none.
    fn take_back(&mut self) -> Result<()> {
        match self.messages.last() {
            Some(last) if last.role == Role::Assistant => {
                self.messages.pop();
                self.attempt += 1;
                Ok(())
            }
            _ => Err(Error::request("/regenerate", "there is no answer yet")),
        }
    }

    /// The texts, as Markdown.
    fn text(&self) -> String {
        let part = |part: &ContentPart| match part {
            ContentPart::Text(text) => text.clone(),
            ContentPart::Image(index) => format!("[picture {}] ", index + 1),
            _ => String::new(),
        };
        let message = |message: &Message| {
            let texts: String = message.content.iter().map(part).collect();
            format!("**{:?}**: {texts}\n", message.role)
        };
        self.messages.iter().map(message).collect::<Vec<_>>().join("\n")
    }
}

/// An error in one question is printed, and the conversation continues.
pub(crate) fn run(args: &ChatArgs) -> Result<()> {
    let mut engine = pollster::block_on(open::engine(&args.package, args.sampling.context, &args.sampling.memory))?;
    args.keep.open(&mut engine, Path::new(""))?;
    let outcome = talk(&mut engine, args);
    kept::keep(&mut engine, &mut || true);
    outcome
}

fn talk(engine: &mut Engine, args: &ChatArgs) -> Result<()> {
    let (lines, interrupts) = (Lines::start(args.history.clone()), Interrupts::watch()?);
    let mut talk = Conversation::new(args.system.as_deref());
    if lines.is_interactive() {
        io::inform("/help lists the commands");
    }
    loop {
        let line = match next(engine, &lines)? {
            Line::Text(line) => line,
            Line::Interrupted => continue,
            Line::End => return Ok(()),
        };
        let said = match Command::parse(&line) {
            Command::Nothing => Ok(()),
            Command::Quit => return Ok(()),
            Command::Help => io::print(HELP),
            Command::New => {
                talk = Conversation::new(args.system.as_deref());
                Ok(())
            }
            Command::Save(path) => fs::write(&path, talk.text()).map_err(|error| Error::io(path, &error)),
            Command::Image(name) => talk.show(&name, args.sampling.detail),
            Command::Regenerate => talk.take_back().and_then(|()| answer(engine, args, &mut talk, &interrupts)),
            Command::Unknown(name) => Err(Error::request(&name, "is no command: /help lists them")),
            Command::Question(question) => {
                let (messages, shown) = (talk.messages.clone(), talk.shown.clone());
                talk.messages.push(ask::question(std::mem::take(&mut talk.shown), &question));
                talk.attempt = 0;
                let answered = answer(engine, args, &mut talk, &interrupts);
                if answered.is_err() {
                    // The question may be asked again.
                    (talk.messages, talk.shown) = (messages, shown);
                }
                answered
            }
        };
        if let Err(error) = said {
            io::complain(&error);
        }
    }
}

/// The next line. Snapshots are written while waiting.
fn next(engine: &mut Engine, lines: &Lines) -> Result<Line> {
    lines.ask();
    let mut line = None;
    kept::keep(engine, &mut || {
        line = line.take().or_else(|| lines.try_next());
        line.is_none()
    });
    line.unwrap_or_else(|| lines.next())
}

/// Answers the last message. An answer that the user ends stays in the conversation as far as it came.
fn answer(engine: &mut Engine, args: &ChatArgs, talk: &mut Conversation, interrupts: &Interrupts) -> Result<()> {
    let conversation = (talk.messages.clone(), talk.pictures.clone());
    let (control, mut said) = (interrupts.begin(), String::new());
    let asking = Asking { printed: Some(&mut said), control: &control, attempt: talk.attempt, format: None };
    let answered = ask::answer(engine, conversation, &args.sampling, asking, |event| io::tell(&event));
    interrupts.end();
    let text = match answered {
        Ok(completion) => {
            if completion.finish_reason == FinishReason::Length {
                io::inform("[the answer reached its longest length]");
            }
            completion.text
        }
        Err(Error::Aborted) => {
            io::inform("\n[stopped]");
            said
        }
        Err(error) => return Err(error),
    };
    talk.messages.push(Message::text(Role::Assistant, text));
    Ok(())
}
