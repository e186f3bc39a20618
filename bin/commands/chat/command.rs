//! Lines of the user: questions, and commands that begin with a slash.

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Nothing,
    Quit,
    Help,
    New,
    Regenerate,
    /// The name of a picture.
    Image(String),
    /// The path of a file.
    Save(String),
    Question(String),
    Unknown(String),
}

impl Command {
    pub(super) fn parse(line: &str) -> Self {
        let line = line.trim();
        let Some(rest) = line.strip_prefix('/') else {
            return if line.is_empty() { Self::Nothing } else { Self::Question(line.into()) };
        };
        if rest.starts_with('/') {
            return Self::Question(rest.into());
        }
        let (name, argument) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        match (name, argument.trim()) {
            ("quit" | "exit" | "bye", "") => Self::Quit,
            ("help" | "?", "") => Self::Help,
            ("new" | "clear", "") => Self::New,
            ("regenerate", "") => Self::Regenerate,
            ("image", path) if !path.is_empty() => Self::Image(plain_path(path)),
            ("save", path) if !path.is_empty() => Self::Save(plain_path(path)),
            _ => Self::Unknown(format!("/{name}")),
        }
    }
}

/// A path as people type or drag it: in quotes, with escaped spaces, below `~`.
fn plain_path(text: &str) -> String {
    let quoted = ['"', '\''].iter().find_map(|&quote| text.strip_prefix(quote)?.strip_suffix(quote));
    let path = match quoted {
        Some(path) => path.to_owned(),
        // On Windows this is a separator.
        None if cfg!(windows) => text.to_owned(),
        None => text.replace("\\ ", " ").replace("\\(", "(").replace("\\)", ")"),
    };
    match (path.strip_prefix("~/"), std::env::var("HOME")) {
        (Some(rest), Ok(home)) => format!("{}/{rest}", home.trim_end_matches('/')),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_questions_or_commands() {
        let image = |name: &str| Command::Image(name.into());
        assert_eq!(Command::parse("  "), Command::Nothing);
        assert_eq!(Command::parse(" What is this? "), Command::Question("What is this?".into()));
        assert_eq!(Command::parse("//etc/hosts is what?"), Command::Question("/etc/hosts is what?".into()));
        assert_eq!((Command::parse("/quit"), Command::parse("/help")), (Command::Quit, Command::Help));
        for unknown in ["/etc", "/image", "/image  ", "/quit now", "/"] {
            assert!(matches!(Command::parse(unknown), Command::Unknown(_)), "{unknown}");
        }
        assert_eq!(Command::parse("/image a.png"), image("a.png"));
        assert_eq!(Command::parse("/image 'my picture.png' "), image("my picture.png"));
        assert_eq!(Command::parse("/image \"it's.png\""), image("it's.png"));
        #[cfg(unix)]
        assert_eq!(Command::parse("/image /a/my\\ picture\\ \\(1\\).png"), image("/a/my picture (1).png"));
        if let Ok(home) = std::env::var("HOME") {
            assert_eq!(Command::parse("/image ~/a.png"), image(&format!("{}/a.png", home.trim_end_matches('/'))));
        }
    }
}
