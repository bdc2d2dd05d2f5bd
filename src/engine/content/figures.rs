//! A page's figures.

use serde::Serialize;

use super::{
    page::{self, Page},
    words::{grade, keywords, level, reading_ease, sentences, syllables, words},
};

/// Words that an adult reads in a minute, silently, in English. (M. Brysbaert, How many words do we read per minute?, Journal of Memory
/// and Language 109, 2019.)
const WORDS_PER_MINUTE: usize = 238;
/// Keywords that are named.
const KEYWORDS: usize = 10;
/// Headings that are named: a result is read by a model, and an outline of hundreds says nothing.
const HEADINGS: usize = 50;
/// The longest heading and lead, in characters.
const CHARACTERS: usize = 200;

/// What was measured on a page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Its title.
    pub title: Option<String>,
    /// What it tells search engines about itself.
    pub meta_description: Option<String>,
    /// Its first whole sentence outside of headings.
    pub lead: Option<String>,
    /// Words of its text.
    pub words: usize,
    /// Sentences of its text.
    pub sentences: usize,
    /// Words in a sentence, on average.
    pub words_per_sentence: f64,
    /// Minutes to read it, rounded up.
    pub reading_minutes: usize,
    /// Flesch reading ease.
    pub reading_ease: f64,
    /// What that is called.
    pub level: &'static str,
    /// Flesch–Kincaid grade.
    pub grade: f64,
    /// Its outline.
    pub headings: Vec<Heading>,
    /// Its links.
    pub links: Links,
    /// How many images it shows.
    pub images: usize,
    /// How many of them have no `alt`.
    pub images_without_alt: usize,
    /// The words that stand there most often.
    pub keywords: Vec<Keyword>,
}

/// A heading of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Heading {
    /// 1 to 6.
    pub level: u8,
    /// Its words.
    pub text: String,
}

/// Where a page's links lead.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Links {
    /// Within its site.
    pub internal: usize,
    /// To others.
    pub external: usize,
}

/// A word and how often it stands on a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Keyword {
    /// The word, in lower case.
    pub word: String,
    /// How often.
    pub count: usize,
}

/// Measures a page. Its own address tells links within its site from others.
pub fn analyze(text: &str, url: Option<&str>) -> Figures {
    let page = page::read(text);
    let counts = Counts::of(&page);
    let (words, sentences, syllables) = (counts.words.max(1) as f64, counts.sentences.max(1) as f64, counts.syllables as f64);
    let ease = tenth(reading_ease(words, sentences, syllables));
    let all_words = page.blocks.iter().flat_map(|block| super::words::words(&block.text));
    let keywords = keywords(all_words, KEYWORDS).into_iter().map(|(word, count)| Keyword { word, count }).collect();
    let outline = page.blocks.iter().filter_map(|block| Some(Heading { level: block.heading?, text: shortened(&block.text) }));
    Figures {
        lead: lead(&page),
        words: counts.words,
        sentences: counts.sentences,
        words_per_sentence: tenth(counts.words as f64 / sentences),
        reading_minutes: counts.words.div_ceil(WORDS_PER_MINUTE),
        reading_ease: ease,
        level: level(ease),
        grade: tenth(grade(words, sentences, syllables)),
        headings: outline.take(HEADINGS).collect(),
        links: links(&page, url),
        images: page.images,
        images_without_alt: page.images_without_alt,
        keywords,
        title: page.title.as_deref().map(shortened),
        meta_description: page.meta_description.as_deref().map(shortened),
    }
}

#[derive(Default)]
struct Counts {
    words: usize,
    sentences: usize,
    syllables: usize,
}

impl Counts {
    fn of(page: &Page) -> Self {
        let mut counts = Self::default();
        for block in &page.blocks {
            counts.sentences += sentences(&block.text).len();
            for word in words(&block.text) {
                counts.words += 1;
                counts.syllables += syllables(word);
            }
        }
        counts
    }
}

fn lead(page: &Page) -> Option<String> {
    let paragraphs = page.blocks.iter().filter(|block| block.heading.is_none());
    let mut sentences = paragraphs.flat_map(|block| sentences(&block.text));
    let whole =
        |sentence: &&str| words(sentence).count() > 5 && sentence.chars().count() <= CHARACTERS && sentence.ends_with(['.', '!', '?']);
    sentences.find(whole).map(str::to_owned)
}

fn links(page: &Page, url: Option<&str>) -> Links {
    let own = url.and_then(host);
    let mut links = Links::default();
    for target in &page.links {
        match host(target) {
            Some(host) if own.as_ref() != Some(&host) => links.external += 1,
            Some(_) => links.internal += 1,
            // mailto:, tel: and javascript: lead to no page.
            None if target.split(['/', '?', '#']).next().is_some_and(|beginning| beginning.contains(':')) => {}
            None => links.internal += 1,
        }
    }
    links
}

/// The host that a whole address names.
fn host(address: &str) -> Option<String> {
    let lower = address.to_ascii_lowercase();
    let rest = lower.strip_prefix("https:").or_else(|| lower.strip_prefix("http:")).unwrap_or(&lower).strip_prefix("//")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?.split(':').next()?;
    Some(host.strip_prefix("www.").unwrap_or(host).to_owned())
}

fn shortened(text: &str) -> String {
    text.chars().take(CHARACTERS).collect()
}

fn tenth(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_worked_out_by_hand() {
        let page = "<html><head><title>Cats</title></head><body><h1>The cat</h1><p>The cat sat on the mat. The mat was red.</p>\
                    <a href='#top'>up</a><a href='https://www.cats.example/x'>x</a><a href='http://b.example'>b</a><a href='mailto:a@b.c'>m</a>\
                    <img src=c.png></body></html>";
        // Blocks: "The cat" (2 words, 1 sentence), 10 words in 2 sentences, "upxbm" (1 word, 1 sentence).
        // 13 words, 4 sentences, syllables 2 + 10 + 1 = 13 ("upxbm" has one group of vowels).
        // Ease 206.835 - 1.015 * 3.25 - 84.6 = 118.936; grade 0.39 * 3.25 + 11.8 - 15.59 = -2.5225.
        let expected = Figures {
            title: Some("Cats".into()),
            meta_description: None,
            lead: Some("The cat sat on the mat.".into()),
            words: 13,
            sentences: 4,
            words_per_sentence: 3.3,
            reading_minutes: 1,
            reading_ease: 118.9,
            level: "very easy",
            grade: -2.5,
            headings: vec![Heading { level: 1, text: "The cat".into() }],
            links: Links { internal: 2, external: 1 },
            images: 1,
            images_without_alt: 1,
            keywords: vec![Keyword { word: "cat".into(), count: 2 }, Keyword { word: "mat".into(), count: 2 }],
        };
        assert_eq!(analyze(page, Some("https://cats.example/")), expected);
    }

    #[test]
    fn a_page_without_words_has_figures_too() {
        let figures = analyze("…", None);
        assert_eq!((figures.words, figures.sentences, figures.lead), (0, 0, None));
        assert!(figures.reading_ease.is_finite() && figures.grade.is_finite());
    }
}
