//! What a call has given, as a tool's result: texts, structured content, and what can't be read told by its kind and size; all of it no
//! longer than the settings let it be.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use serde_json::{Value, json};

use super::secrets::Secrets;

/// Parts of a result that are told; what follows is counted.
const PARTS: usize = 64;
/// The most of an error's words, in bytes.
const ERROR_BYTES: usize = 2_000;

/// What an agent is given of a result: one text where there are only texts, the structured content where there is some, else the parts.
///
/// # Errors
/// What the server says went wrong.
pub(super) fn told(result: CallToolResult, most: usize, secrets: &Secrets) -> Result<Value, String> {
    let CallToolResult { content, structured_content, is_error, .. } = result;
    if is_error == Some(true) {
        let words = structured_content.filter(|_| content.is_empty()).map(|content| content.to_string());
        return Err(error_words(&words.unwrap_or_else(|| texts(&content)), secrets));
    }
    let only_texts = content.iter().all(|part| matches!(part, ContentBlock::Text(_)));
    let mut room = Room { left: most, secrets };
    Ok(match structured_content {
        // Its texts say the same again, for clients that know no better.
        Some(structured) if only_texts => room.value(structured),
        None if only_texts => room.text(&texts(&content)).into(),
        structured => {
            let mut parts: Vec<Value> = content.iter().take(PARTS).map(|part| room.part(part)).collect();
            if content.len() > PARTS {
                parts.push(json!({"type": "left_out", "parts": content.len() - PARTS}));
            }
            match structured {
                Some(structured) => json!({"structured": room.value(structured), "content": parts}),
                None => json!({"content": parts}),
            }
        }
    })
}

/// What a server says of an error, in few words.
pub(super) fn error_words(words: &str, secrets: &Secrets) -> String {
    let words = Room { left: ERROR_BYTES, secrets }.text(words.trim());
    if words.is_empty() { "it does not say why".to_owned() } else { words }
}

fn texts(content: &[ContentBlock]) -> String {
    let texts = content.iter().filter_map(|part| part.as_text()).map(|text| text.text.as_str());
    texts.collect::<Vec<_>>().join("\n")
}

/// How many bytes there is room for.
struct Room<'a> {
    left: usize,
    secrets: &'a Secrets,
}

impl Room<'_> {
    /// As much of a text as there is room for.
    fn text(&mut self, text: &str) -> String {
        let mut text = self.secrets.cover(text);
        let end = text.floor_char_boundary(self.left);
        self.left -= end.min(self.left);
        if end < text.len() {
            let left_out = text.len() - end;
            text.truncate(end);
            text.push_str(&format!("\n[{left_out} more bytes are left out]"));
        }
        text
    }

    /// A value, or the beginning of its text where it is too long.
    fn value(&mut self, value: Value) -> Value {
        let value = self.secrets.cover_all(value);
        let text = value.to_string();
        if text.len() > self.left {
            return self.text(&text).into();
        }
        self.left -= text.len();
        value
    }

    fn part(&mut self, part: &ContentBlock) -> Value {
        match part {
            ContentBlock::Text(text) => json!({"type": "text", "text": self.text(&text.text)}),
            ContentBlock::Image(image) => self.unread("image", Some(&image.mime_type), &image.data),
            ContentBlock::Audio(audio) => self.unread("audio", Some(&audio.mime_type), &audio.data),
            ContentBlock::Resource(embedded) => match &embedded.resource {
                ResourceContents::TextResourceContents { uri, text, .. } => {
                    json!({"type": "resource", "uri": self.text(uri), "text": self.text(text)})
                }
                ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
                    let mut told = self.unread("resource", mime_type.as_deref(), blob);
                    told["uri"] = self.text(uri).into();
                    told
                }
                _ => json!({"type": "resource"}),
            },
            ContentBlock::ResourceLink(link) => {
                json!({"type": "resource_link", "uri": self.text(&link.uri), "name": self.text(&link.name)})
            }
            _ => json!({"type": "unknown"}),
        }
    }

    /// What no agent can read here, by its kind and size.
    fn unread(&mut self, kind: &str, media_type: Option<&str>, base64: &str) -> Value {
        let padding = base64.bytes().rev().take_while(|byte| *byte == b'=').count();
        let media_type = media_type.map(|media_type| self.text(media_type));
        json!({"type": kind, "media_type": media_type, "bytes": (base64.len() / 4 * 3).saturating_sub(padding)})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_of(content: Vec<ContentBlock>, structured: Option<Value>, most: usize) -> Value {
        let mut result = CallToolResult::success(content);
        result.structured_content = structured;
        told(result, most, &Secrets::default()).unwrap()
    }

    #[test]
    fn texts_are_a_text_and_structured_content_is_itself() {
        let text = |text: &str| ContentBlock::text(text);
        assert_eq!(told_of(vec![text("a"), text("b")], None, 100), json!("a\nb"));
        assert_eq!(told_of(Vec::new(), None, 100), json!(""));
        assert_eq!(told_of(vec![text("{\"n\":1}")], Some(json!({"n": 1})), 100), json!({"n": 1}));
        let both = told_of(vec![text("a"), ContentBlock::image("aGVsbG8=", "image/png")], Some(json!([1])), 100);
        let image = json!({"type": "image", "media_type": "image/png", "bytes": 5});
        assert_eq!(both, json!({"structured": [1], "content": [{"type": "text", "text": "a"}, image]}));
    }

    #[test]
    fn however_much_there_is_no_more_than_the_limit_is_told() {
        assert_eq!(told_of(vec![ContentBlock::text("üüü")], None, 3), json!("ü\n[4 more bytes are left out]"));
        assert_eq!(told_of(Vec::new(), Some(json!({"key": "value"})), 5), json!("{\"key\n[10 more bytes are left out]"));
        let parts = (0..100).map(|_| ContentBlock::embedded_text("u:x", "x".repeat(1_000))).collect();
        let told = told_of(parts, None, 4_000);
        assert_eq!(told["content"].as_array().unwrap().len(), PARTS + 1);
        assert_eq!(told["content"][PARTS], json!({"type": "left_out", "parts": 36}));
        assert!(told.to_string().len() < 4_000 + PARTS * 160, "{}", told.to_string().len());
    }
}
