//! One GET, trusting the root certificates of this machine and no others.

use std::io::{self, Read};
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Below the ten seconds that Docker waits between SIGTERM and SIGKILL.
const TIMEOUT: Duration = Duration::from_secs(8);
/// Bytes of a body that are read.
const LIMIT: u64 = 64 * 1024;

/// Asks for *url*; any HTTP status is an answer, only a failed connection is an error.
pub fn fetch(url: &str) -> Result<Value, String> {
    let config = Agent::config_builder()
        .tls_config(TlsConfig::builder().root_certs(system_roots()?).build())
        .timeout_global(Some(TIMEOUT))
        .http_status_as_error(false)
        .max_redirects(5)
        .user_agent(concat!("worker/", env!("CARGO_PKG_VERSION")))
        .build();
    let fault = |error: &dyn std::fmt::Display| format!("GET {url}: {error}");
    let mut answer = Agent::new_with_config(config)
        .get(url)
        .call()
        .map_err(|error| fault(&error))?;
    let mut body = answer.body_mut().as_reader().take(LIMIT + 1);
    let size = io::copy(&mut body, &mut io::sink()).map_err(|error| fault(&error))?;
    Ok(json!({
        "url": url,
        "status": answer.status().as_u16(),
        "protocol": format!("{:?}", answer.version()),
        "bytes": size.min(LIMIT),
        "truncated": size > LIMIT,
    }))
}

/// The roots in `SSL_CERT_FILE`, `SSL_CERT_DIR` or the usual places such as
/// /etc/ssl/certs/ca-certificates.crt. None at all is an error here already: "unknown issuer"
/// later would hide the reason.
fn system_roots() -> Result<RootCerts, String> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let wanted = "wanted /etc/ssl/certs/ca-certificates.crt, or what SSL_CERT_FILE names";
        let mut reasons = vec![format!("no root certificates: {wanted}")];
        reasons.extend(found.errors.iter().map(ToString::to_string));
        return Err(reasons.join("; "));
    }
    let roots: Vec<Certificate<'static>> = found
        .certs
        .iter()
        .map(|root| Certificate::from_der(root).to_owned())
        .collect();
    Ok(RootCerts::new_with_certs(&roots))
}

#[cfg(test)]
mod tests {
    use super::fetch;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    fn serve(answer: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(&answer);
        });
        url
    }

    #[test]
    fn a_refusal_is_an_answer() {
        let url = serve(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".to_vec());
        let answer = fetch(&url).unwrap();
        assert_eq!(answer["status"], 403);
        assert_eq!(answer["bytes"], 2);
        assert_eq!(answer["truncated"], false);
    }

    #[test]
    fn a_long_body_is_cut() {
        let mut text = b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n".to_vec();
        text.resize(text.len() + 70000, b'x');
        let answer = fetch(&serve(text)).unwrap();
        assert_eq!(answer["bytes"], 65536);
        assert_eq!(answer["truncated"], true);
    }

    #[test]
    fn faults_name_the_url() {
        for url in ["http://127.0.0.1:1/", "ftp://example.com/", "no url"] {
            let fault = fetch(url).unwrap_err();
            assert!(fault.starts_with(&format!("GET {url}: ")), "{fault}");
        }
    }
}
