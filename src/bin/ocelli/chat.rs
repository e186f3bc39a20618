//! `ocelli chat`: a conversation on the terminal.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use ocelli::Result;
use ocelli::chat::{ContentPart, Message, Role};
use ocelli::engine::{Cancel, Engine, Event, Picture, Prompt, Request};

use crate::open::{self, SamplingArgs};

/// Talk to a model. `/image FILE` shows it a picture, `/new` starts over, `/quit` ends.
#[derive(Args)]
pub(crate) struct ChatArgs {
    /// The package.
    package: PathBuf,
    /// System message.
    #[arg(long)]
    system: Option<String>,
    #[command(flatten)]
    sampling: SamplingArgs,
}

/// What was said, and what is about to be.
#[derive(Default)]
struct Conversation {
    messages: Vec<Message>,
    pictures: Vec<Picture>,
    shown: Vec<ContentPart>,
}

impl Conversation {
    fn new(system: Option<&str>) -> Self {
        let messages = system.map(|text| Message::text(Role::System, text)).into_iter().collect();
        Self { messages, ..Self::default() }
    }

    fn show(&mut self, path: &Path) -> Result<()> {
        self.pictures.push(open::picture(path)?);
        self.shown.push(ContentPart::Image(self.pictures.len() - 1));
        Ok(())
    }
}

/// Runs the command. An error in one question is printed, and the conversation goes on.
///
/// # Errors
/// Whatever is wrong with the package or the terminal.
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
                Some(path) => talk.show(Path::new(path.trim())),
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
    let content = talk.shown.iter().cloned().chain([ContentPart::Text(line.into())]).collect();
    messages.push(Message { role: Role::User, content });
    let request = Request {
        prompt: Prompt::Messages(messages.clone()),
        pictures: talk.pictures.clone(),
        sampling: args.sampling.options(),
        max_tokens: args.sampling.max_tokens,
        stop: Vec::new(),
    };
    let mut printed = Ok(());
    let mut show = |event: Event| match event {
        Event::Text(text) if printed.is_ok() => printed = crate::print_text(&text),
        event => crate::tell(&event),
    };
    let completion = pollster::block_on(engine.generate(&request, &Cancel::new(), &mut show))?;
    printed?;
    crate::print("")?;
    open::show_answer(&completion, &args.sampling);
    messages.push(Message::text(Role::Assistant, completion.text));
    talk.messages = messages;
    talk.shown.clear();
    Ok(())
}
