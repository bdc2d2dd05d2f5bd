//! A run's inputs from the command line: values, files, and pages of the web.

use std::{io::Read, path::Path, time::Duration};

use clap::Args;
use reqwest::{StatusCode, Url, header::CONTENT_TYPE};
use serde_json::{Map, Value};

use super::{Failure, show::size};

/// The most bytes of a file or page: what a crew's page may have.
const BYTES: usize = 200 << 10;
/// How long a page of the web may take to come.
const FETCHING: Duration = Duration::from_secs(20);
/// Redirects that are followed.
const REDIRECTS: usize = 5;

#[derive(Args)]
pub(crate) struct Inputs {
    /// An input's value; with `:=` instead of `=` it is JSON. May be given more than once.
    #[arg(long = "input", value_name = "NAME=VALUE", help_heading = "Inputs")]
    values: Vec<String>,
    /// An input from a text file of at most 200 KiB. May be given more than once.
    #[arg(long = "input-file", value_name = "NAME=PATH", help_heading = "Inputs")]
    files: Vec<String>,
    /// An input from a page of the web, http or https, of at most 200 KiB. May be given more than once.
    #[arg(long = "input-url", value_name = "NAME=URL", help_heading = "Inputs")]
    urls: Vec<String>,
}

impl Inputs {
    /// All of them, by name.
    pub(crate) async fn read(&self) -> Result<Map<String, Value>, Failure> {
        let mut inputs = Map::new();
        for given in &self.values {
            let (name, value) = named("--input", given)?;
            let (name, value) = match name.strip_suffix(':') {
                Some(name) => (name, serde_json::from_str(value).map_err(|error| usage(format!("`{given}` gives no JSON: {error}")))?),
                None => (name, Value::from(value)),
            };
            put(&mut inputs, name, value)?;
        }
        for given in &self.files {
            let (name, path) = named("--input-file", given)?;
            put(&mut inputs, name, read_file(Path::new(path)).map_err(usage)?.into())?;
        }
        for given in &self.urls {
            let (name, url) = named("--input-url", given)?;
            put(&mut inputs, name, fetch(url).await.map_err(usage)?.into())?;
        }
        Ok(inputs)
    }
}

fn usage(message: String) -> Failure {
    Failure::Usage(message)
}

fn named<'a>(flag: &str, given: &'a str) -> Result<(&'a str, &'a str), Failure> {
    given.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| usage(format!("`{flag} {given}` is not of the form name=…")))
}

fn put(inputs: &mut Map<String, Value>, name: &str, value: Value) -> Result<(), Failure> {
    match inputs.insert(name.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(usage(format!("the input `{name}` is given twice"))),
    }
}

/// A text file's content, or a sentence that says why there is none.
fn read_file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is no file {shown}"),
        std::io::ErrorKind::PermissionDenied => format!("{shown} can't be read: you may not"),
        _ => format!("{shown} can't be read: {error}"),
    })?;
    if metadata.is_dir() {
        return Err(format!("{shown} is a folder: give a file in it"));
    }
    if !metadata.is_file() {
        return Err(format!("{shown} is no ordinary file"));
    }
    // One byte more tells a file that is too big from one that just fits, whatever its metadata say.
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => format!("{shown} can't be read: you may not"),
        _ => format!("{shown} can't be read: {error}"),
    })?;
    file.take(BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| format!("{shown} can't be read: {error}"))?;
    if bytes.len() > BYTES {
        let length = usize::try_from(metadata.len()).unwrap_or(usize::MAX).max(bytes.len());
        return Err(format!("{shown} is too big: it has {}, and at most {} are taken", size(length), size(BYTES)));
    }
    text(bytes).map_err(|why| format!("{shown} {why}"))
}

/// Bytes as text, or what is wrong with them.
fn text(bytes: Vec<u8>) -> Result<String, &'static str> {
    if bytes.contains(&0) {
        return Err("is binary, not text: it holds zero bytes");
    }
    let text = String::from_utf8(bytes).map_err(|_| "is not text in UTF-8: it is binary, or of another encoding")?;
    let text = text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned);
    if text.trim().is_empty() { Err("is empty: there is nothing to read in it") } else { Ok(text) }
}

/// A page of the web as text, or a sentence that says why there is none.
async fn fetch(address: &str) -> Result<String, String> {
    let url = Url::parse(address).map_err(|error| format!("`{address}` is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`{address}` can't be fetched: only http and https can"));
    }
    let page = tokio::time::timeout(FETCHING, fetch_page(url)).await;
    page.map_err(|_| format!("{address} did not come within {} s", FETCHING.as_secs()))?.map_err(|why| format!("{address} {why}"))
}

async fn fetch_page(url: Url) -> Result<String, String> {
    // Whoever installed one before chose it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .user_agent(concat!("crewline/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::limited(REDIRECTS))
        .build()
        .map_err(|error| format!("can't be fetched: {}", cause(&error)))?;
    let mut response = client.get(url).send().await.map_err(|error| format!("can't be fetched: {}", cause(&error)))?;
    if response.status() != StatusCode::OK {
        return Err(format!("can't be fetched: the server answered {}", response.status()));
    }
    let kind = response.headers().get(CONTENT_TYPE).cloned();
    let media_type = kind.as_ref().and_then(|kind| kind.to_str().ok()).unwrap_or("text/plain");
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !media_type.starts_with("text/") && !["application/xhtml+xml", "application/xml", "application/json"].contains(&&*media_type) {
        return Err(format!("is no text but {media_type}"));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| format!("broke off: {}", cause(&error)))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > BYTES {
            return Err(format!("is too big: at most {} are taken", size(BYTES)));
        }
    }
    if bytes.contains(&0) {
        return text(bytes).map_err(str::to_owned);
    }
    // Read in the encoding that its headers name, as a browser would.
    let mut whole = http::Response::new(bytes);
    whole.headers_mut().extend(kind.map(|kind| (CONTENT_TYPE, kind)));
    let decoded = reqwest::Response::from(whole).text().await.map_err(|error| format!("can't be read: {}", cause(&error)))?;
    text(decoded.into_bytes()).map_err(str::to_owned)
}

/// The innermost reason: the outer ones only say that there was one.
fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }
    fn inputs(values: &[&str], files: &[String]) -> Inputs {
        Inputs { values: values.iter().map(|value| (*value).into()).collect(), files: files.to_vec(), urls: Vec::new() }
    }

    #[tokio::test]
    async fn values_files_and_json_become_inputs() {
        let page = file("\u{feff}<h1>Hello</h1>".as_bytes());
        let given = inputs(&["name=a=b", "count:=3"], &[format!("page={}", page.path().display())]);
        let expected = serde_json::json!({"name": "a=b", "count": 3, "page": "<h1>Hello</h1>"});
        assert_eq!(Value::from(given.read().await.unwrap()), expected);
        for (wrong, why) in [("name", "not of the form"), ("=x", "not of the form"), ("n:=x", "gives no JSON"), ("name=1", "given twice")] {
            let error = inputs(&["name=x", wrong], &[]).read().await.unwrap_err();
            assert!(matches!(&error, Failure::Usage(text) if text.contains(why)), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_no_text_gets_a_sentence_that_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.html");
        let told = |path: &Path| read_file(path).unwrap_err().replace(&path.display().to_string(), "FILE");
        assert_eq!(told(&missing), "there is no file FILE");
        assert_eq!(told(folder.path()), "FILE is a folder: give a file in it");
        assert_eq!(told(file(b"").path()), "FILE is empty: there is nothing to read in it");
        assert_eq!(told(file(b" \n\t").path()), "FILE is empty: there is nothing to read in it");
        assert_eq!(told(file(b"PK\x03\x04\0\0").path()), "FILE is binary, not text: it holds zero bytes");
        assert_eq!(told(file(b"caf\xe9").path()), "FILE is not text in UTF-8: it is binary, or of another encoding");
        assert_eq!(told(file(&[b'a'; BYTES + 1]).path()), "FILE is too big: it has 200.0 KiB, and at most 200.0 KiB are taken");
        assert_eq!(read_file(file(&[b'a'; BYTES]).path()).unwrap().len(), BYTES);
    }

    /// A server that gives each connection this answer.
    async fn web(answer: &'static [u8]) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = socket.read(&mut request).await;
                let _ = socket.write_all(answer).await;
            }
        });
        format!("http://{address}/page")
    }

    #[tokio::test]
    async fn a_page_is_read_in_its_encoding_and_what_is_none_gets_a_sentence() {
        let page = web(b"HTTP/1.0 200 OK\r\ncontent-type: text/html; charset=iso-8859-1\r\n\r\n<p>caf\xe9").await;
        assert_eq!(fetch(&page).await, Ok("<p>café".into()));
        let long: &'static [u8] = Box::leak([&b"HTTP/1.0 200 OK\r\n\r\n"[..], &[b'a'; BYTES + 1]].concat().into_boxed_slice());
        for (answer, why) in [
            (&b"HTTP/1.0 200 OK\r\ncontent-type: image/png\r\n\r\nx"[..], "is no text but image/png"),
            (b"HTTP/1.0 404 Not Found\r\n\r\nx", "can't be fetched: the server answered 404 Not Found"),
            (b"HTTP/1.0 200 OK\r\n\r\n", "is empty: there is nothing to read in it"),
            (b"HTTP/1.0 200 OK\r\n\r\na\0b", "is binary, not text: it holds zero bytes"),
            (long, "is too big: at most 200.0 KiB are taken"),
        ] {
            let url = web(answer).await;
            assert_eq!(fetch(&url).await, Err(format!("{url} {why}")));
        }
        assert_eq!(fetch("file:///etc/hosts").await, Err("`file:///etc/hosts` can't be fetched: only http and https can".into()));
        assert_eq!(fetch("page.html").await, Err("`page.html` is no URL: relative URL without a base".into()));
    }
}
