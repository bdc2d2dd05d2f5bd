//! Words, sentences and syllables of English text, and the two formulas made of them.

/// Words that say nothing about a page.
const STOP_WORDS: &[&str] = &[
    "about", "above", "after", "again", "against", "all", "also", "and", "any", "are", "aren't", "because", "been", "before", "being",
    "below", "between", "both", "but", "can", "can't", "could", "did", "didn't", "does", "doesn't", "doing", "don't", "down", "during",
    "each", "even", "ever", "every", "few", "first", "for", "from", "further", "get", "gets", "had", "has", "have", "having", "her",
    "here", "hers", "him", "his", "how", "into", "isn't", "it's", "its", "just", "less", "like", "made", "make", "makes", "many", "may",
    "more", "most", "much", "must", "nor", "not", "now", "off", "once", "one", "only", "other", "our", "ours", "out", "over", "own",
    "same", "she", "should", "some", "still", "such", "than", "that", "that's", "the", "their", "theirs", "them", "then", "there", "these",
    "they", "they're", "this", "those", "through", "too", "two", "under", "until", "upon", "use", "used", "very", "was", "wasn't", "way",
    "were", "what", "when", "where", "which", "while", "who", "whom", "why", "will", "with", "won't", "would", "you", "you're", "your",
    "yours",
];

/// The words of a text: what stands between blanks and has a letter or digit, without the marks around it.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric())).filter(|word| !word.is_empty())
}

/// The sentences of a block of text. The end of the block ends one too.
pub(super) fn sentences(block: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut start = 0;
    let mut characters = block.char_indices().peekable();
    while let Some((place, character)) = characters.next() {
        // A full stop within a number or a name, as in 3.5 and example.com, is followed by no blank.
        let ends = matches!(character, '.' | '!' | '?' | '…')
            && characters.peek().is_none_or(|(_, next)| next.is_whitespace() || "\"')”’".contains(*next));
        if ends {
            let end = place + character.len_utf8();
            sentences.push(block[start..end].trim());
            start = end;
        }
    }
    sentences.push(block[start..].trim());
    sentences.retain(|sentence| words(sentence).next().is_some());
    sentences
}

/// About how many syllables a word has: groups of vowels, but for a silent e at the end; at least one.
pub(super) fn syllables(word: &str) -> usize {
    let word = word.to_lowercase();
    let letters: Vec<char> = word.chars().filter(|c| c.is_alphabetic()).collect();
    let vowel = |c: &char| "aeiouyäöüéèáàóòíúâêîôû".contains(*c);
    let mut groups = 0;
    let mut before = false;
    for letter in &letters {
        groups += usize::from(vowel(letter) && !before);
        before = vowel(letter);
    }
    let silent = match letters.as_slice() {
        // "table"
        [.., before, 'l', 'e'] if !vowel(before) => false,
        // "make", but not "see"; in "the" it is the only vowel, and is heard.
        [.., before, 'e'] => !vowel(before),
        // "makes" and "asked", but not "boxes" or "wanted".
        [.., before, 'e', 's'] => !vowel(before) && !"sxzcgh".contains(*before),
        [.., before, 'e', 'd'] => !vowel(before) && !"td".contains(*before),
        _ => false,
    };
    (groups - usize::from(silent && groups > 1)).max(1)
}

/// Flesch reading ease: 206.835 − 1.015 × words per sentence − 84.6 × syllables per word. (R. Flesch, A new readability yardstick,
/// Journal of Applied Psychology 32, 1948, 221–233.)
pub(super) fn reading_ease(words: f64, sentences: f64, syllables: f64) -> f64 {
    206.835 - 1.015 * (words / sentences) - 84.6 * (syllables / words)
}

/// Flesch–Kincaid grade: 0.39 × words per sentence + 11.8 × syllables per word − 15.59. (J. P. Kincaid et al., Derivation of new
/// readability formulas for Navy enlisted personnel, Research Branch Report 8-75, 1975.)
pub(super) fn grade(words: f64, sentences: f64, syllables: f64) -> f64 {
    0.39 * (words / sentences) + 11.8 * (syllables / words) - 15.59
}

/// What a reading ease is called, by Flesch's own table.
pub(super) fn level(ease: f64) -> &'static str {
    match ease {
        90.0.. => "very easy",
        80.0.. => "easy",
        70.0.. => "fairly easy",
        60.0.. => "plain English",
        50.0.. => "fairly difficult",
        30.0.. => "difficult",
        _ => "very difficult",
    }
}

/// The words that stand there most often, at least twice, without those that say nothing: most often first, then by the alphabet.
pub(super) fn keywords<'a>(words: impl Iterator<Item = &'a str>, most: usize) -> Vec<(String, usize)> {
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for word in words {
        let word = word.to_lowercase().replace('’', "'");
        let word = word.strip_suffix("'s").unwrap_or(&word);
        if word.chars().count() > 2 && word.chars().all(|c| c.is_alphabetic() || c == '-' || c == '\'') && !STOP_WORDS.contains(&word) {
            *counts.entry(word.to_owned()).or_default() += 1;
        }
    }
    let mut keywords: Vec<(String, usize)> = counts.into_iter().filter(|(_, count)| *count > 1).collect();
    keywords.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    keywords.truncate(most);
    keywords
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syllables_are_those_that_one_hears() {
        let heard = [
            ("the", 1),
            ("cat", 1),
            ("make", 1),
            ("makes", 1),
            ("asked", 1),
            ("wanted", 2),
            ("boxes", 2),
            ("table", 2),
            ("see", 1),
            ("readability", 5),
            ("syllable", 3),
            ("server", 2),
            ("x", 1),
            ("3", 1),
            ("rhythm", 1),
            ("able", 2),
            ("agree", 2),
        ];
        for (word, expected) in heard {
            assert_eq!(syllables(word), expected, "{word}");
        }
    }

    #[test]
    fn a_sentence_ends_at_its_mark_and_at_the_block_s_end() {
        assert_eq!(
            sentences("Version 3.5 is out. Really? Yes!  See example.com now"),
            ["Version 3.5 is out.", "Really?", "Yes!", "See example.com now"]
        );
        assert_eq!(sentences("…"), Vec::<&str>::new());
    }

    #[test]
    fn the_formulas_are_those_of_flesch_and_kincaid() {
        // "The cat sat on the mat." 6 words, 1 sentence, 6 syllables: 206.835 - 6.09 - 84.6 = 116.145; 2.34 + 11.8 - 15.59 = -1.45.
        assert!((reading_ease(6.0, 1.0, 6.0) - 116.145).abs() < 1e-9);
        assert!((grade(6.0, 1.0, 6.0) + 1.45).abs() < 1e-9);
    }

    #[test]
    fn keywords_stand_there_twice_and_say_something() {
        let text = "The queue grows. A queue's end is the queue of ends; ends meet, that that that.";
        assert_eq!(keywords(words(text), 5), [("queue".to_owned(), 3), ("ends".to_owned(), 2)]);
    }
}
