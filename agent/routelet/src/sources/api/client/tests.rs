//! Each request is sent once, whatever is answered and whoever is in between: whoever asks has pauses of his own.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::ListParams;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;

/// The first lines of what was asked, those for a proxy among them.
type Asked = Arc<Mutex<Vec<String>>>;

/// A server that answers everything with one code, and a proxy that is its own destination.
async fn server(code: u16) -> (SocketAddr, Asked) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Asked::default();
    let shared = asked.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, code, shared.clone()));
        }
    });
    (address, asked)
}

async fn converse(mut stream: TcpStream, code: u16, asked: Asked) -> std::io::Result<()> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first == [5] {
        let to = socks5(&mut stream).await?;
        asked.lock().unwrap().push(to);
    }
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap();
        let line = head.lines().next().unwrap().to_owned();
        let answer = match line.starts_with("CONNECT ") {
            true => "HTTP/1.1 200 OK\r\n\r\n".to_owned(),
            false => {
                let body = format!(
                    r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","code":{code},"reason":"Any","message":"no"}}"#
                );
                let length = body.len();
                format!(
                    "HTTP/1.1 {code} No\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
                )
            }
        };
        asked.lock().unwrap().push(line);
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// The handshake of RFC 1928, without authentication. Returns whom the connection is to.
async fn socks5(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut greeting = [0; 2];
    stream.read_exact(&mut greeting).await?;
    stream.read_exact(&mut vec![0; greeting[1].into()]).await?;
    stream.write_all(&[5, 0]).await?;
    let mut request = [0; 4];
    stream.read_exact(&mut request).await?;
    assert_eq!(request, [5, 1, 0, 1], "a connection to an IPv4 address");
    let mut address = [0; 4];
    stream.read_exact(&mut address).await?;
    let port = stream.read_u16().await?;
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    Ok(format!("SOCKS5 {}", SocketAddr::from((address, port))))
}

const LIST: &str = "GET /api/v1/namespaces? HTTP/1.1";

#[tokio::test]
async fn a_request_that_fails_is_sent_once() {
    for code in [429, 500, 502, 503, 504] {
        for scheme in ["", "http", "socks5"] {
            let (address, asked) = server(code).await;
            let mut config = Config::new(format!("http://{address}").parse().unwrap());
            config.proxy_url = match scheme {
                "" => None,
                scheme => Some(format!("{scheme}://{address}").parse().unwrap()),
            };
            let api = Api::<Namespace>::all(build(config).unwrap());
            let params = ListParams::default();
            let answer = timeout(Duration::from_secs(20), api.list(&params)).await;
            let error = answer.expect("an answer soon").unwrap_err();
            assert!(
                matches!(&error, kube::Error::Api(status) if status.code == code),
                "{error}"
            );
            let expected = match scheme {
                "" => vec![],
                "http" => vec![format!("CONNECT {address} HTTP/1.1")],
                _ => vec![format!("SOCKS5 {address}")],
            };
            let asked = asked.lock().unwrap().clone();
            let (requests, before): (Vec<_>, Vec<_>) =
                asked.into_iter().partition(|line| line.starts_with("GET "));
            assert_eq!(before, expected, "{code} {scheme}");
            assert_eq!(requests, [LIST], "{code} {scheme}");
        }
    }
}
