//! Answers in `DocTags`, the markup of Granite-Docling, to Markdown or HTML.

use std::iter::Peekable;
use std::vec::IntoIter;

/// The form of a converted answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    Markdown,
    Html,
}

/// A part of the markup.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'a> {
    Open(&'a str),
    Close(&'a str),
    Text(&'a str),
}

/// A cell of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Cell {
    text: String,
    is_header: bool,
    /// The cell continues the one on its left, or the one above.
    continues: (bool, bool),
}

/// A block of a document.
#[derive(Debug, PartialEq, Eq)]
enum Block {
    /// A heading of that level, counted from 1.
    Heading(usize, String),
    Paragraph(String),
    List {
        ordered: bool,
        items: Vec<String>,
    },
    Code {
        language: String,
        text: String,
    },
    Formula(String),
    Table(Vec<Vec<Cell>>),
    Picture,
    PageBreak,
}

/// Elements that are named in the markup and hold blocks or nothing of their own.
const CONTAINERS: [&str; 11] = [
    "doctag",
    "doctags",
    "picture",
    "chart",
    "group",
    "form",
    "key_value_region",
    "references",
    "smiles",
    "inline",
    "document_index",
];
/// Elements that hold text.
const TEXTS: [&str; 6] = ["text", "paragraph", "caption", "footnote", "title", "list_item"];
/// Elements that every page repeats; they are left out.
const LEFT_OUT: [&str; 2] = ["page_header", "page_footer"];
/// Elements of tables.
const CELLS: [&str; 8] = ["fcel", "ecel", "ched", "rhed", "srow", "lcel", "ucel", "xcel"];
const OTHERS: [&str; 9] = [
    "otsl",
    "nl",
    "code",
    "formula",
    "ordered_list",
    "unordered_list",
    "checkbox_selected",
    "checkbox_unselected",
    "page_break",
];

/// Converts an answer. Text outside of elements is a paragraph; an element that is not closed ends with the answer.
pub(crate) fn convert(answer: &str, form: Form) -> String {
    let mut blocks = Vec::new();
    let mut pieces = pieces(answer).into_iter().peekable();
    while pieces.peek().is_some() {
        read_blocks(&mut pieces, &mut blocks);
        // A closing tag without an opening one.
        pieces.next();
    }
    let written = blocks.iter().map(|block| match form {
        Form::Markdown => block.markdown(),
        Form::Html => block.html(),
    });
    written.collect::<Vec<_>>().join(if form == Form::Html { "\n" } else { "\n\n" })
}

/// Divides the markup. Locations are dropped; what looks like another tag is text.
fn pieces(answer: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest, mut from) = (Vec::new(), answer, 0);
    while let Some(at) = rest[from..].find('<').map(|at| from + at) {
        let tag = rest[at + 1..].split_once('>').and_then(|(name, _)| Some((name, piece(name)?)));
        let Some((name, piece)) = tag else {
            from = at + 1;
            continue;
        };
        pieces.push(Piece::Text(&rest[..at]));
        pieces.extend(piece);
        rest = &rest[at + name.len() + 2..];
        from = 0;
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
    pieces
}

/// The piece of a known tag; nothing for a location, and `None` for other text.
fn piece(name: &str) -> Option<Option<Piece<'_>>> {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if name.strip_prefix("loc_").is_some_and(number) {
        return Some(None);
    }
    let is_language = name.len() > 2 && name.starts_with('_') && name.ends_with('_');
    let known = |name: &str| {
        let lists = [&CONTAINERS[..], &TEXTS, &LEFT_OUT, &CELLS, &OTHERS];
        lists.iter().any(|list| list.contains(&name)) || level(name).is_some()
    };
    match name.strip_prefix('/') {
        Some(name) if known(name) => Some(Some(Piece::Close(name))),
        None if known(name) || is_language => Some(Some(Piece::Open(name))),
        _ => None,
    }
}

/// The level of a section's heading.
fn level(name: &str) -> Option<usize> {
    name.strip_prefix("section_header_level_")?.parse().ok().filter(|level| (1..=6).contains(level))
}

type Pieces<'a> = Peekable<IntoIter<Piece<'a>>>;

/// Reads blocks up to a closing tag.
fn read_blocks(pieces: &mut Pieces<'_>, blocks: &mut Vec<Block>) {
    while let Some(piece) = pieces.next_if(|piece| !matches!(piece, Piece::Close(_))) {
        let name = match piece {
            Piece::Open(name) => name,
            Piece::Text(text) => {
                blocks.extend((!text.trim().is_empty()).then(|| Block::Paragraph(text.trim().to_owned())));
                continue;
            }
            Piece::Close(_) => continue,
        };
        match name {
            "page_break" => blocks.push(Block::PageBreak),
            "ordered_list" | "unordered_list" => {
                let mut items = Vec::new();
                while pieces.next_if(|piece| !matches!(piece, Piece::Close(list) if *list == name)).is_some_and(
                    |piece| {
                        if piece == Piece::Open("list_item") {
                            items.push(read_text(pieces, "list_item"));
                        }
                        true
                    },
                ) {}
                pieces.next();
                blocks.push(Block::List { ordered: name == "ordered_list", items });
            }
            "code" => {
                let language = match pieces.peek() {
                    Some(Piece::Open(name)) if name.starts_with('_') => name.trim_matches('_').to_ascii_lowercase(),
                    _ => String::new(),
                };
                blocks.push(Block::Code { language, text: read_text(pieces, "code") });
            }
            "formula" => blocks.push(Block::Formula(read_text(pieces, "formula"))),
            "otsl" => read_table(pieces, blocks),
            _ if LEFT_OUT.contains(&name) => drop(read_text(pieces, name)),
            _ if CONTAINERS.contains(&name) => {
                blocks.extend(matches!(name, "picture" | "chart").then_some(Block::Picture));
                read_blocks(pieces, blocks);
                pieces.next();
            }
            "title" => blocks.push(Block::Heading(1, read_text(pieces, name))),
            _ if TEXTS.contains(&name) => blocks.push(Block::Paragraph(read_text(pieces, name))),
            _ => blocks.extend(level(name).map(|level| Block::Heading(level + 1, read_text(pieces, name)))),
        }
    }
}

/// The text of an element, up to its closing tag.
fn read_text(pieces: &mut Pieces<'_>, name: &str) -> String {
    let mut text = String::new();
    for piece in pieces.by_ref() {
        match piece {
            Piece::Close(closed) if closed == name => break,
            Piece::Text(part) => text += part,
            Piece::Open("checkbox_selected") => text += "[x] ",
            Piece::Open("checkbox_unselected") => text += "[ ] ",
            Piece::Open(_) | Piece::Close(_) => {}
        }
    }
    text.trim().to_owned()
}

/// Reads a table and its caption, which comes first.
fn read_table(pieces: &mut Pieces<'_>, blocks: &mut Vec<Block>) {
    let mut rows = vec![Vec::new()];
    for piece in pieces.by_ref() {
        let row = rows.len() - 1;
        match piece {
            Piece::Close("otsl") => break,
            Piece::Open("nl") => rows.push(Vec::new()),
            Piece::Open(cell) if CELLS.contains(&cell) => rows[row].push(Cell {
                text: String::new(),
                is_header: matches!(cell, "ched" | "rhed" | "srow"),
                continues: (matches!(cell, "lcel" | "xcel"), matches!(cell, "ucel" | "xcel")),
            }),
            Piece::Text(text) => match rows[row].last_mut() {
                Some(cell) => cell.text += text.trim(),
                None if row == 0 && !text.trim().is_empty() => blocks.push(Block::Paragraph(text.trim().to_owned())),
                None => {}
            },
            Piece::Open(_) | Piece::Close(_) => {}
        }
    }
    rows.retain(|row| !row.is_empty());
    blocks.push(Block::Table(rows));
}

impl Block {
    fn markdown(&self) -> String {
        match self {
            Self::Heading(level, text) => format!("{} {text}", "#".repeat((*level).min(6))),
            Self::Paragraph(text) => text.clone(),
            Self::List { ordered, items } => {
                let mark = |index: usize| if *ordered { format!("{}.", index + 1) } else { "-".to_owned() };
                let lines = items.iter().enumerate().map(|(index, item)| format!("{} {item}", mark(index)));
                lines.collect::<Vec<_>>().join("\n")
            }
            Self::Code { language, text } => format!("```{language}\n{text}\n```"),
            Self::Formula(text) => format!("$${text}$$"),
            Self::Table(rows) => markdown_table(rows),
            Self::Picture => "<!-- picture -->".to_owned(),
            Self::PageBreak => "---".to_owned(),
        }
    }

    fn html(&self) -> String {
        match self {
            Self::Heading(level, text) => format!("<h{0}>{1}</h{0}>", (*level).min(6), escaped(text)),
            Self::Paragraph(text) => format!("<p>{}</p>", escaped(text)),
            Self::List { ordered, items } => {
                let name = if *ordered { "ol" } else { "ul" };
                let items: String = items.iter().map(|item| format!("<li>{}</li>", escaped(item))).collect();
                format!("<{name}>{items}</{name}>")
            }
            Self::Code { language, text } if language.is_empty() => {
                format!("<pre><code>{}</code></pre>", escaped(text))
            }
            Self::Code { language, text } => {
                format!("<pre><code class=\"language-{}\">{}</code></pre>", escaped(language), escaped(text))
            }
            Self::Formula(text) => format!("<p class=\"formula\">{}</p>", escaped(text)),
            Self::Table(rows) => html_table(rows),
            Self::Picture => "<figure></figure>".to_owned(),
            Self::PageBreak => "<hr>".to_owned(),
        }
    }
}

/// A table with its first row as the header; cells that continue another are empty.
fn markdown_table(rows: &[Vec<Cell>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let line = |cells: &mut dyn Iterator<Item = String>| format!("| {} |", cells.collect::<Vec<_>>().join(" | "));
    let mut lines = Vec::new();
    for row in rows {
        let text = |column: usize| row.get(column).map_or_else(String::new, |cell| cell.text.replace('|', "\\|"));
        lines.push(line(&mut (0..columns).map(text)));
        if lines.len() == 1 {
            lines.push(line(&mut (0..columns).map(|_| "---".to_owned())));
        }
    }
    lines.join("\n")
}

/// A table in which cells span those that continue them.
fn html_table(rows: &[Vec<Cell>]) -> String {
    let mut table = String::from("<table>");
    for (index, row) in rows.iter().enumerate() {
        table += "<tr>";
        for (column, cell) in row.iter().enumerate().filter(|(_, cell)| cell.continues == (false, false)) {
            let wide = 1 + row[column + 1..].iter().take_while(|cell| cell.continues.0 && !cell.continues.1).count();
            let is_below = |row: &&Vec<Cell>| row.get(column).is_some_and(|cell| cell.continues.1 && !cell.continues.0);
            let high = 1 + rows[index + 1..].iter().take_while(is_below).count();
            let span = |name: &str, size: usize| if size > 1 { format!(" {name}=\"{size}\"") } else { String::new() };
            let kind = if cell.is_header { "th" } else { "td" };
            let (wide, high) = (span("colspan", wide), span("rowspan", high));
            table += &format!("<{kind}{wide}{high}>{}</{kind}>", escaped(&cell.text));
        }
        table += "</tr>";
    }
    table + "</table>"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "<doctag><page_header><loc_1><loc_2><loc_3><loc_4>Top</page_header>\n<title><loc_10>A & B</title>\n\
        <section_header_level_1><loc_1>First</section_header_level_1>\n<text><loc_1><loc_2>If a < b, then <b>.</text>\n\
        <unordered_list><list_item><loc_3>one</list_item>\n<list_item>two</list_item>\n</unordered_list>\n\
        <code><loc_5><_Python_>print(\"<\")</code>\n<formula>x^2</formula>\n<picture><loc_9><caption>A boat.</caption></picture>\n\
        <text><checkbox_selected>done</text><page_break>\n</doctag>";
    const TABLE: &str =
        "<otsl><loc_1><loc_2><caption>Sums</caption><ched>a|b<lcel><nl><rhed>c<fcel>1<nl><ucel><ecel><nl></otsl>";

    #[test]
    fn a_page_becomes_markdown() {
        assert_eq!(
            convert(PAGE, Form::Markdown),
            "# A & B\n\n## First\n\nIf a < b, then <b>.\n\n- one\n- two\n\n```python\nprint(\"<\")\n```\n\n$$x^2$$\n\n<!-- picture -->\n\nA boat.\n\n\
             [x] done\n\n---"
        );
        assert_eq!(convert(TABLE, Form::Markdown), "Sums\n\n| a\\|b |  |\n| --- | --- |\n| c | 1 |\n|  |  |");
    }

    #[test]
    fn a_page_becomes_html() {
        assert_eq!(
            convert(PAGE, Form::Html),
            "<h1>A &amp; B</h1>\n<h2>First</h2>\n<p>If a &lt; b, then &lt;b&gt;.</p>\n<ul><li>one</li><li>two</li></ul>\n\
             <pre><code class=\"language-python\">print(&quot;&lt;&quot;)</code></pre>\n<p class=\"formula\">x^2</p>\n<figure></figure>\n\
             <p>A boat.</p>\n<p>[x] done</p>\n<hr>"
        );
        assert_eq!(
            convert(TABLE, Form::Html),
            "<p>Sums</p>\n<table><tr><th colspan=\"2\">a|b</th></tr><tr><th rowspan=\"2\">c</th><td>1</td></tr><tr><td></td></tr></table>"
        );
    }

    /// An answer may end anywhere.
    #[test]
    fn every_beginning_of_a_page_is_converted() {
        for page in [PAGE, TABLE, "plain <text>", "</text>a</doctag>b", "<", "<otsl>"] {
            for end in (0..=page.len()).filter(|end| page.is_char_boundary(*end)) {
                let _text = [Form::Markdown, Form::Html].map(|form| convert(&page[..end], form));
            }
        }
        assert_eq!(convert("</text>a</doctag>b", Form::Markdown), "a\n\nb");
        assert_eq!(convert("plain <loc_1> text", Form::Markdown), "plain\n\ntext");
    }
}
