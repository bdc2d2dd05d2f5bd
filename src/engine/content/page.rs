//! A page taken apart: its text in blocks, its headings, links and images, from HTML or from Markdown and plain text.

use scraper::{ElementRef, Html, Node, Selector};

/// What a page consists of.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Page {
    pub(super) title: Option<String>,
    pub(super) meta_description: Option<String>,
    /// Paragraphs, list items, headings: text that belongs together.
    pub(super) blocks: Vec<Block>,
    /// Where links lead, as they are written.
    pub(super) links: Vec<String>,
    pub(super) images: usize,
    pub(super) images_without_alt: usize,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Block {
    pub(super) text: String,
    /// 1 to 6 for a heading.
    pub(super) heading: Option<u8>,
}

/// How deep a page's elements may be nested. Browsers draw no line, but the parser looks through all open elements for each new one.
const DEPTH: usize = 1_000;

/// Whether a page is nested deeper than any that a person wrote.
pub(super) fn is_too_deep(text: &str) -> bool {
    let mut depth = 0_usize;
    text.match_indices('<').any(|(place, _)| {
        let tag = &text[place + 1..];
        let name: String = tag.trim_start_matches('/').bytes().take(10).take_while(u8::is_ascii_alphanumeric).map(char::from).collect();
        match tag.bytes().next() {
            Some(b'/') => depth = depth.saturating_sub(1),
            Some(first) if first.is_ascii_alphabetic() && !ends_by_itself(&name.to_ascii_lowercase()) => depth += 1,
            _ => {}
        }
        depth > DEPTH
    })
}

/// Elements that need no end tag: a page that has many of them is long, not deep.
fn ends_by_itself(element: &str) -> bool {
    matches!(
        element,
        "area"
            | "base"
            | "br"
            | "col"
            | "dd"
            | "dt"
            | "embed"
            | "hr"
            | "img"
            | "input"
            | "li"
            | "link"
            | "meta"
            | "option"
            | "p"
            | "path"
            | "source"
            | "td"
            | "th"
            | "tr"
            | "track"
            | "wbr"
    )
}

/// Takes a page apart.
pub(super) fn read(text: &str) -> Page {
    if is_html(text) { html(text) } else { markdown(text) }
}

fn is_html(text: &str) -> bool {
    let mut beginning: String = text.chars().take(4_096).collect();
    beginning.make_ascii_lowercase();
    ["<!doctype html", "<html", "<head", "<body", "<article", "<main", "<div", "<p>", "<p ", "<h1"]
        .iter()
        .any(|tag| beginning.contains(tag))
}

fn html(text: &str) -> Page {
    let document = Html::parse_document(text);
    let all = |selector: &str| -> Vec<ElementRef<'_>> {
        Selector::parse(selector).map(|selector| document.select(&selector).collect()).unwrap_or_default()
    };
    let images = all("img");
    Page {
        title: all("title").first().map(|title| squeeze(&title.text().collect::<String>())).filter(|title| !title.is_empty()),
        meta_description: all("meta[name=description i]")
            .first()
            .and_then(|meta| meta.attr("content"))
            .map(squeeze)
            .filter(|description| !description.is_empty()),
        blocks: all("article, main").first().map_or_else(|| blocks(document.root_element()), |content| blocks(*content)),
        links: all("a[href]").iter().filter_map(|link| link.attr("href")).map(str::to_owned).collect(),
        images: images.len(),
        // An empty `alt` says that the image is an ornament; a missing one says nothing.
        images_without_alt: images.iter().filter(|image| image.attr("alt").is_none()).count(),
    }
}

/// The text under an element, cut where a reader sees a new paragraph. Without recursion: a page may be nested as deep as it is long.
fn blocks(root: ElementRef<'_>) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut block = Block::default();
    let mut node = *root;
    loop {
        let enter = match node.value() {
            Node::Text(text) => {
                block.text.push_str(text);
                true
            }
            Node::Element(element) if is_hidden(element.name()) => false,
            Node::Element(element) => {
                if is_block(element.name()) {
                    cut(&mut blocks, &mut block);
                    block.heading = heading(element.name());
                } else if element.name() == "img" {
                    // What stands before and after an image is not one word.
                    block.text.push(' ');
                }
                true
            }
            _ => true,
        };
        if let Some(child) = node.first_child().filter(|_| enter) {
            node = child;
            continue;
        }
        loop {
            if let Node::Element(element) = node.value()
                && is_block(element.name())
            {
                cut(&mut blocks, &mut block);
            }
            if node == *root {
                cut(&mut blocks, &mut block);
                return blocks;
            }
            if let Some(next) = node.next_sibling() {
                node = next;
                break;
            }
            let Some(parent) = node.parent() else { return blocks };
            node = parent;
        }
    }
}

fn cut(blocks: &mut Vec<Block>, block: &mut Block) {
    let Block { text, heading } = std::mem::take(block);
    let text = squeeze(&text);
    if !text.is_empty() {
        blocks.push(Block { text, heading });
    }
}

fn is_hidden(element: &str) -> bool {
    matches!(element, "script" | "style" | "noscript" | "template" | "svg" | "head" | "nav" | "footer")
}

fn is_block(element: &str) -> bool {
    matches!(
        element,
        "address"
            | "article"
            | "aside"
            | "blockquote"
            | "br"
            | "dd"
            | "div"
            | "dl"
            | "dt"
            | "fieldset"
            | "figcaption"
            | "figure"
            | "form"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "header"
            | "hr"
            | "li"
            | "main"
            | "ol"
            | "p"
            | "pre"
            | "section"
            | "table"
            | "td"
            | "th"
            | "tr"
            | "ul"
    )
}

fn heading(element: &str) -> Option<u8> {
    match element.as_bytes() {
        [b'h', level @ b'1'..=b'6'] => Some(level - b'0'),
        _ => None,
    }
}

fn markdown(text: &str) -> Page {
    let mut page = Page::default();
    let mut paragraph = Block::default();
    let mut fenced = false;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with("```") || line.starts_with("~~~") {
            fenced = !fenced;
            cut(&mut page.blocks, &mut paragraph);
            continue;
        }
        // Code is not prose: measured as such it would make every page unreadable.
        if fenced {
            continue;
        }
        let level = line.bytes().take_while(|byte| *byte == b'#').count();
        let title = line.get(level..).unwrap_or_default();
        if let Some(level) = u8::try_from(level).ok().filter(|level| (1..=6).contains(level) && title.starts_with(' ')) {
            cut(&mut page.blocks, &mut paragraph);
            paragraph = Block { text: inline(title, &mut page), heading: Some(level) };
            cut(&mut page.blocks, &mut paragraph);
            continue;
        }
        let item =
            line.strip_prefix("- ").or_else(|| line.strip_prefix("* ")).or_else(|| line.strip_prefix("> ")).or_else(|| numbered(line));
        if line.is_empty() || item.is_some() {
            cut(&mut page.blocks, &mut paragraph);
        }
        let words = inline(item.unwrap_or(line), &mut page);
        paragraph.text.push_str(&words);
        paragraph.text.push(' ');
    }
    cut(&mut page.blocks, &mut paragraph);
    page.title = page.blocks.iter().find(|block| block.heading == Some(1)).map(|block| block.text.clone());
    page
}

fn numbered(line: &str) -> Option<&str> {
    let (number, item) = line.split_once(". ")?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(item)
}

/// A line's words, without its marks; its links and images are noted.
fn inline(line: &str, page: &mut Page) -> String {
    let mut words = String::new();
    let mut rest = line;
    while let Some(open) = rest.find('[') {
        let (before, bracket) = rest.split_at(open);
        let link = bracket.find("](").and_then(|middle| {
            let end = bracket[middle..].find(')')? + middle;
            Some((&bracket[1..middle], &bracket[middle + 2..end], &bracket[end + 1..]))
        });
        let Some((text, target, after)) = link else {
            words.push_str(&rest[..=open]);
            rest = &rest[open + 1..];
            continue;
        };
        if let Some(before) = before.strip_suffix('!') {
            words.push_str(before);
            page.images += 1;
            page.images_without_alt += usize::from(text.trim().is_empty());
        } else {
            words.push_str(before);
            words.push_str(text);
            page.links.push(target.split_whitespace().next().unwrap_or_default().to_owned());
        }
        rest = after;
    }
    words.push_str(rest);
    words.replace(['*', '`'], "")
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str, heading: Option<u8>) -> Block {
        Block { text: text.into(), heading }
    }

    #[test]
    fn html_is_taken_apart_as_a_reader_sees_it() {
        let page = read(
            "<html><head><title> A  page </title><meta name=Description content='Short.'><style>p{}</style></head><body><nav>menu</nav>\
             <h1>One</h1><p>Some <b>bold</b> words.<br>More<p>Last<script>x()</script><img src=a><img src=b alt=''>\
             <a href='/in'>in</a> <a name=no>no</a></body>",
        );
        let expected = Page {
            title: Some("A page".into()),
            meta_description: Some("Short.".into()),
            blocks: vec![block("One", Some(1)), block("Some bold words.", None), block("More", None), block("Last in no", None)],
            links: vec!["/in".into()],
            images: 2,
            images_without_alt: 1,
        };
        assert_eq!(page, expected);
    }

    #[test]
    fn markdown_is_taken_apart_the_same() {
        let page = read(
            "# One\n\nSome **bold**\n[words](https://a.example/b \"t\").\n\n- item ![](x.png)\n1. two ![alt](y.png)\n```\ncode\n```\n## End",
        );
        let expected = Page {
            title: Some("One".into()),
            meta_description: None,
            blocks: vec![
                block("One", Some(1)),
                block("Some bold words.", None),
                block("item", None),
                block("two", None),
                block("End", Some(2)),
            ],
            links: vec!["https://a.example/b".into()],
            images: 2,
            images_without_alt: 1,
        };
        assert_eq!(page, expected);
    }

    #[test]
    fn a_page_is_read_as_deep_as_it_may_be_and_no_deeper() {
        let nested = |depth| format!("<!doctype html>{}deep", "<div>".repeat(depth));
        assert_eq!(read(&nested(DEPTH)).blocks, [block("deep", None)]);
        assert!(!is_too_deep(&nested(DEPTH)));
        assert!(is_too_deep(&nested(DEPTH + 1)));
        assert!(!is_too_deep(&"<p>one<br><ul><li>two</ul><div>three</div>".repeat(2_000)));
    }
}
