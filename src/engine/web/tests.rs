//! What agents reach of the web, and what they do not, however it is spelled.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::settings::Places;

/// A site: what it answers by path, and which paths it was asked for.
struct Site {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

async fn site(answers: &[(&str, String)]) -> Site {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let answers: BTreeMap<String, String> = answers.iter().map(|(path, answer)| ((*path).to_owned(), answer.clone())).collect();
    let (seen, answers) = (asked.clone(), Arc::new(answers));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (seen, answers) = (seen.clone(), answers.clone());
            tokio::spawn(async move {
                let (mut request, mut chunk) = (Vec::new(), [0; 4_096]);
                while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut chunk).await {
                        Ok(read) if read > 0 => request.extend_from_slice(&chunk[..read]),
                        _ => return,
                    }
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                seen.lock().unwrap().push(path.clone());
                let none = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned();
                let _ = stream.write_all(answers.get(&path).unwrap_or(&none).as_bytes()).await;
            });
        }
    });
    Site { port, asked }
}

fn page(kind: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn moved(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

/// Knows these names alone.
fn knows(names: &[(&str, &[&str])]) -> address::Resolve {
    let names: BTreeMap<String, Vec<IpAddr>> = names
        .iter()
        .map(|(name, addresses)| ((*name).to_owned(), addresses.iter().map(|address| address.parse().unwrap()).collect()))
        .collect();
    Arc::new(move |host| {
        let found = names.get(&host).cloned().ok_or_else(|| std::io::Error::other("unknown"));
        Box::pin(std::future::ready(found))
    })
}

async fn code(reach: &Reach, url: &str) -> Option<FaultCode> {
    fetch(reach, url).await.err().map(|fault| fault.code)
}

#[tokio::test]
async fn no_spelling_of_an_address_that_is_not_public_is_reached() {
    let trap = site(&[]).await;
    let port = trap.port;
    let reach = Reach {
        resolve: knows(&[
            ("localhost", &["127.0.0.1"]),
            ("localhost.", &["127.0.0.1"]),
            ("rebound.example", &["127.0.0.1"]),
            ("half.example", &["93.184.215.14", "127.0.0.1"]),
            ("mapped.example", &["::ffff:127.0.0.1"]),
            ("six.example", &["::1"]),
            ("metadata.example", &["169.254.169.254"]),
            ("intranet", &["10.0.0.5"]),
            ("none.example", &[]),
        ]),
        allow: Places::default(),
    };
    let hosts = [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "0x7f.0x0.0x0.0x1",
        "127.0.0.1.",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "%31%32%37.0.0.1",
        "0",
        "0.0.0.0",
        "127.255.255.254",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "100.64.0.1",
        "198.18.0.1",
        "192.0.0.192",
        "224.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "[fe80::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "[0:0:0:0:0:ffff:a9fe:a9fe]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "rebound.example",
        "half.example",
        "mapped.example",
        "six.example",
        "metadata.example",
        "intranet",
        "[fe80::1%25eth0]",
        "none.example",
        "user@127.0.0.1",
        "93.184.215.14:80@127.0.0.1",
        "127.0.0.1\\@93.184.215.14",
    ];
    for host in hosts {
        for url in [format!("http://{host}:{port}/"), format!("https://{host}:{port}/x")] {
            let fault = fetch(&reach, &url).await.err().unwrap_or_else(|| panic!("{url} was fetched"));
            assert!(matches!(fault.code, FaultCode::Forbidden | FaultCode::Invalid | FaultCode::Unavailable), "{url}: {fault}");
        }
    }
    for url in [
        format!("ftp://127.0.0.1:{port}/"),
        "file:///etc/passwd".to_owned(),
        format!("gopher://127.0.0.1:{port}/x"),
        "data:text/plain,x".to_owned(),
        format!("//127.0.0.1:{port}"),
        String::new(),
    ] {
        assert_eq!(code(&reach, &url).await, Some(FaultCode::Invalid), "{url}");
    }
    assert_eq!(code(&reach, "http://93.184.215.14:25/").await, Some(FaultCode::Forbidden), "a port that is none of the web's");
    assert_eq!(*trap.asked.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn addresses_are_public_or_not() {
    let public = |address: &str| address::is_public(address.parse().unwrap());
    for address in ["1.1.1.1", "93.184.215.14", "172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1", "2606:4700::1111", "2a00::1"] {
        assert!(public(address), "{address}");
    }
    for address in ["203.0.113.1", "192.0.2.1", "198.51.100.1", "240.0.0.1", "2001:db8::1", "fec0::1", "100::1", "3fff::1", "5f00::1"] {
        assert!(!public(address), "{address}");
    }
}

#[tokio::test]
async fn redirects_are_checked_each_time_and_a_name_is_asked_for_once() {
    let trap = site(&[]).await;
    let inner = trap.port;
    let outer = site(&[
        ("/trap", moved(&format!("http://127.0.0.1:{inner}/secret"))),
        ("/name", moved(&format!("http://inside.example:{inner}/secret"))),
        ("/file", moved("file:///etc/passwd")),
        ("/round", moved("/round")),
        ("/there", moved("page")),
        ("/page", page("text/html; charset=utf-8", "<title>T</title><h1>Head</h1><p>One <b>two</b>.<script>x()</script>")),
    ])
    .await;
    let times = Arc::new(AtomicUsize::new(0));
    let counted = times.clone();
    let resolve: address::Resolve = Arc::new(move |host| {
        // A name that is one thing when it is checked and another when it is asked for again.
        let first = counted.fetch_add(1, Ordering::Relaxed) == 0;
        let found = if host == "inside.example" || !first { [127, 0, 0, 1] } else { [127, 0, 0, 7] };
        Box::pin(std::future::ready(Ok(vec![IpAddr::from(found)])))
    });
    let port = outer.port;
    // The operator allows the outer site by its name; the trap has none that is allowed.
    let reach = Reach { resolve, allow: "outer.example".parse().unwrap() };
    let pinned = fetch(&reach, &format!("http://outer.example:{port}/page")).await;
    assert_eq!((pinned.err().map(|fault| fault.code), times.load(Ordering::Relaxed)), (Some(FaultCode::Unavailable), 1));
    assert!(outer.asked.lock().unwrap().is_empty(), "only the address that was checked is connected to");

    for path in ["trap", "name"] {
        assert_eq!(code(&reach, &format!("http://outer.example:{port}/{path}")).await, Some(FaultCode::Forbidden), "{path}");
    }
    assert_eq!(code(&reach, &format!("http://outer.example:{port}/file")).await, Some(FaultCode::Invalid));
    assert_eq!(code(&reach, &format!("http://outer.example:{port}/round")).await, Some(FaultCode::Unavailable));
    assert_eq!(*trap.asked.lock().unwrap(), Vec::<String>::new());
    let fetched = fetch(&reach, &format!("http://outer.example:{port}/there#part")).await.unwrap().told(0).await.unwrap();
    let url = format!("http://outer.example:{port}/page");
    let expected = json!({"url": url, "media_type": "text/html", "title": "T", "description": null, "text": "# Head\n\nOne two."});
    assert_eq!(fetched, expected);
}

#[tokio::test]
async fn what_is_too_long_no_text_or_left_alone_says_so() {
    let site = site(&[
        ("/robots.txt", page("text/plain", "User-agent: *\nDisallow: /private\n")),
        ("/private/x", page("text/plain", "secret")),
        ("/picture", page("image/png", "x")),
        ("/long", page("text/plain", &"ü".repeat(20_000))),
        ("/huge", page("text/plain", &"x".repeat(BYTES + 1))),
    ])
    .await;
    let reach = Reach { resolve: address::system(), allow: "127.0.0.0/8".parse().unwrap() };
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", site.port);
    assert_eq!(code(&reach, &url("/private/x")).await, Some(FaultCode::Forbidden));
    assert!(!site.asked.lock().unwrap().contains(&"/private/x".to_owned()));
    assert_eq!(code(&reach, &url("/picture")).await, Some(FaultCode::Invalid));
    assert_eq!(code(&reach, &url("/huge")).await, Some(FaultCode::TooLarge));
    assert_eq!(code(&reach, &url("/nothing")).await, Some(FaultCode::NotFound));
    let (mut from, mut text) = (0, String::new());
    loop {
        let told = fetch(&reach, &url("/long")).await.unwrap().told(from).await.unwrap();
        text.push_str(told["text"].as_str().unwrap());
        let Some(next) = told["next"].as_u64() else { break };
        from = usize::try_from(next).unwrap();
    }
    assert_eq!(text, "ü".repeat(20_000));
}

#[tokio::test]
async fn a_search_is_asked_with_the_query_and_its_results_have_one_form() {
    let found = json!({"web": {"results": [{"title": "T", "url": "https://a.example", "description": "d".repeat(2_000)}, {"title": "no address"}]}});
    let site = site(&[("/s?q=caf%C3%A9%20%26&k=1", page("application/json", &found.to_string()))]).await;
    let set = |template: String| Search::new(&Settings { search_url: template, ..Settings::default() });
    let search = async |search: Search, query: &str| {
        let cx = ToolContext::of_nobody();
        search.call(&cx, json!({"query": query})).await
    };
    let template = format!("http://127.0.0.1:{}/s?q={{query}}&k=1", site.port);
    let results = search(set(template.clone()), "café &").await.unwrap();
    assert_eq!(results, json!({"results": [{"title": "T", "url": "https://a.example", "text": "d".repeat(1_000)}]}));
    let fault = search(set(template), "other").await.unwrap_err();
    assert_eq!(fault.message, "the search answered 404 Not Found");
    let fault = search(set(String::new()), "x").await.unwrap_err();
    assert!(fault.message.starts_with("no search is configured"), "{fault}");
}
