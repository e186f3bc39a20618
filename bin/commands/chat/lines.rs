//! Lines of the user, read on a thread of their own: edited on a terminal, plain otherwise.

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};

use ocelli::{Error, Result};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

const PROMPT: &str = "> ";
/// Prompt of a line that continues another.
const MORE: &str = ". ";
/// End of a line that continues.
const CONTINUES: char = '\\';

/// The user's input.
pub(super) enum Line {
    Text(String),
    /// Ctrl-C while editing, which discards the line.
    Interrupted,
    End,
}

/// The thread's lines, each of which is asked for.
pub(super) struct Lines {
    wanted: Sender<()>,
    lines: Receiver<Result<Line>>,
    is_interactive: bool,
}

impl Lines {
    /// Starts the thread. `history` is the file of earlier lines.
    pub(super) fn start(history: Option<PathBuf>) -> Self {
        let ((wanted, asked), (sender, lines)) = (channel(), channel());
        let is_interactive = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        std::thread::spawn(move || {
            let mut reader = Reader::new(is_interactive, history);
            // Either end is gone once the command ends.
            while asked.recv().is_ok() && sender.send(reader.read()).is_ok() {}
        });
        Self { wanted, lines, is_interactive }
    }

    pub(super) fn is_interactive(&self) -> bool {
        self.is_interactive
    }

    /// Asks for a line.
    pub(super) fn ask(&self) {
        // Sending fails only after the thread has ended.
        let _ = self.wanted.send(());
    }

    /// The line, if it is complete.
    pub(super) fn try_next(&self) -> Option<Result<Line>> {
        self.lines.try_recv().ok()
    }

    /// Waits for the line.
    pub(super) fn next(&self) -> Result<Line> {
        self.lines.recv().unwrap_or(Ok(Line::End))
    }
}

enum Reader {
    Terminal { editor: Box<DefaultEditor>, history: Option<PathBuf> },
    Plain,
}

impl Reader {
    fn new(is_interactive: bool, history: Option<PathBuf>) -> Self {
        let Some(mut editor) = is_interactive.then(|| DefaultEditor::new().ok()).flatten() else { return Self::Plain };
        // Its first use creates it.
        history.iter().for_each(|path| drop(editor.load_history(path)));
        Self::Terminal { editor: Box::new(editor), history }
    }

    /// A line with those that continue it.
    fn read(&mut self) -> Result<Line> {
        let mut whole = String::new();
        loop {
            let line = match self.read_one(if whole.is_empty() { PROMPT } else { MORE })? {
                Line::Text(line) => line,
                Line::End if !whole.is_empty() => String::new(),
                other => return Ok(other),
            };
            match line.strip_suffix(CONTINUES) {
                Some(part) => whole.extend([part, "\n"]),
                None => {
                    whole.push_str(&line);
                    break;
                }
            }
        }
        if let Self::Terminal { editor, history } = self {
            // A line that cannot be stored can still be asked.
            let _ = editor.add_history_entry(&whole);
            history.iter().for_each(|path| drop(editor.append_history(path)));
        }
        Ok(Line::Text(whole))
    }

    fn read_one(&mut self, prompt: &str) -> Result<Line> {
        let failed =
            |error: &dyn std::fmt::Display| Error::Io { path: "standard input".into(), reason: error.to_string() };
        if let Self::Terminal { editor, .. } = self {
            return match editor.readline(prompt) {
                Ok(line) => Ok(Line::Text(line)),
                Err(ReadlineError::Interrupted) => Ok(Line::Interrupted),
                Err(ReadlineError::Eof) => Ok(Line::End),
                Err(error) => Err(failed(&error)),
            };
        }
        let _ = write!(std::io::stderr(), "{prompt}");
        let mut line = String::new();
        match std::io::stdin().lock().read_line(&mut line) {
            Ok(0) => Ok(Line::End),
            Ok(_) => Ok(Line::Text(line.trim_end_matches(['\r', '\n']).to_owned())),
            Err(error) => Err(failed(&error)),
        }
    }
}
