//! Whose pages are served: the attacks of the module's table, and those who should not be kept away.

use crate::{head, reason};
use fanwire_gateway::http::{Answer, Cors, Exchange, HeaderValue, Methods, OriginRules, Reason, Status};

fn rules(hosts: &[&str], origins: &[&str]) -> OriginRules {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    OriginRules::new(["192.0.2.7".parse().unwrap()], owned(hosts), owned(origins)).unwrap()
}

/// What becomes of a request with these fields.
fn check(rules: &OriginRules, fields: &str) -> Result<String, Reason> {
    let text = format!("GET /v1/sse?topic=a HTTP/1.1\r\n{fields}\r\n");
    match rules.check(&head(&text)) {
        Ok(Cors::None) => Ok("same".to_owned()),
        Ok(Cors::Any) => Ok("*".to_owned()),
        Ok(Cors::Origin(origin)) => Ok(origin.as_str().to_owned()),
        Err(refusal) => Err(reason(&refusal)),
    }
}

#[test]
fn programs_and_pages_of_this_broker_pass_on_loopback() {
    let rules = rules(&[], &[]);
    for fields in [
        "Host: localhost:7400\r\n",
        "Host: app.localhost\r\n",
        "Host: 127.0.0.1:9000\r\n",
        "Host: [::1]:7400\r\n",
        "Host: 192.0.2.7:7400\r\n",
        "Host: localhost:7400\r\nOrigin: http://localhost:7400\r\n",
        "Host: LOCALHOST:7400\r\nOrigin: http://localhost:7400\r\nSec-Fetch-Site: same-origin\r\n",
        "Host: localhost\r\nOrigin: http://localhost\r\n",
        "Host: localhost:80\r\nOrigin: http://localhost\r\n",
        "Host: localhost\r\nOrigin: https://localhost\r\n",
        "Host: [::1]:7400\r\nOrigin: http://[::1]:7400\r\n",
        "Host: localhost:7400\r\nSec-Fetch-Site: none\r\n",
    ] {
        assert_eq!(check(&rules, fields), Ok("same".to_owned()), "{fields}");
    }
}

#[test]
fn a_rebound_name_is_not_this_broker() {
    let rules = rules(&["broker.example", "tunnel.example:8443"], &[]);
    for host in [
        "evil.example",
        "localhost.evil.example:7400",
        "127.0.0.1.evil.example",
        "192.0.2.8",
        "0.0.0.0:7400",
        "[::]",
        "tunnel.example",
        "tunnel.example:7400",
        "sub.broker.example",
        "broker.example.evil",
        "127.1",
        "2130706433",
    ] {
        let same_origin = format!("Host: {host}\r\nOrigin: http://{host}\r\nSec-Fetch-Site: same-origin\r\n");
        assert_eq!(check(&rules, &same_origin), Err(Reason::HostRefused), "{host}");
        assert_eq!(check(&rules, &format!("Host: {host}\r\n")), Err(Reason::HostRefused), "{host}");
    }
    for host in ["broker.example", "Broker.Example:7400", "broker.example.", "tunnel.example:8443"] {
        assert_eq!(check(&rules, &format!("Host: {host}\r\n")), Ok("same".to_owned()), "{host}");
    }
    let without = head("GET /v1/stats HTTP/1.0\r\n\r\n");
    assert_eq!(rules.check(&without).map_err(|refusal| reason(&refusal)), Err(Reason::HostRefused));
}

#[test]
fn where_every_address_is_listened_on_every_address_is_ours_and_no_name() {
    for all in ["0.0.0.0", "::"] {
        let rules = OriginRules::new([all.parse().unwrap()], [], []).unwrap();
        assert_eq!(check(&rules, "Host: 198.51.100.1:7400\r\n"), Ok("same".to_owned()));
        assert_eq!(check(&rules, "Host: [2001:db8::1]:7400\r\n"), Ok("same".to_owned()));
        assert_eq!(check(&rules, "Host: evil.example\r\n"), Err(Reason::HostRefused));
    }
}

#[test]
fn pages_of_others_are_refused() {
    let rules = rules(&[], &["https://app.example"]);
    for fields in [
        "Origin: https://evil.example\r\n",
        "Origin: http://localhost\r\n",
        "Origin: http://localhost:3000\r\n",
        "Origin: http://127.0.0.1:7400\r\n",
        "Origin: http://localhost:7400.evil.example\r\n",
        "Origin: http://localhost:7400/\r\n",
        "Origin: http://evil@localhost:7400\r\n",
        "Origin: chrome-extension://localhost:7400\r\n",
        "Origin: localhost:7400\r\n",
        "Origin: null\r\n",
        "Origin: \r\n",
        "Origin: *\r\n",
        "Origin: http://localhost:7400 https://app.example\r\n",
        "Origin: http://localhost:7400, https://evil.example\r\n",
        "Origin: http://app.example\r\n",
        "Origin: https://app.example:444\r\n",
        "Origin: https://sub.app.example\r\n",
        "Origin: https://app.example.evil\r\n",
        "Origin: http://localhost:7400\r\nSec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Sec-Fetch-Site: something-new\r\n",
    ] {
        let fields = format!("Host: localhost:7400\r\n{fields}");
        assert_eq!(check(&rules, &fields), Err(Reason::OriginRefused), "{fields}");
    }
    let twice = "Host: localhost\r\nOrigin: http://localhost\r\nOrigin: https://evil.example\r\n";
    assert_eq!(check(&rules, twice), Err(Reason::BadRequest));
}

#[test]
fn allowed_origins_are_told_so_and_everybody_is_if_that_was_really_wanted() {
    let some = rules(&[], &["https://app.example", "http://LOCALHOST:3000", "chrome-extension://abc"]);
    for origin in ["https://app.example", "http://localhost:3000", "chrome-extension://abc"] {
        let fields = format!("Host: localhost:7400\r\nOrigin: {origin}\r\nSec-Fetch-Site: cross-site\r\n");
        assert_eq!(check(&some, &fields).as_deref(), Ok(origin));
        let rebound = format!("Host: evil.example\r\nOrigin: {origin}\r\n");
        assert_eq!(check(&some, &rebound), Err(Reason::HostRefused));
    }
    let all = rules(&[], &["*"]);
    for origin in ["https://evil.example", "null"] {
        let fields = format!("Host: localhost:7400\r\nOrigin: {origin}\r\nSec-Fetch-Site: cross-site\r\n");
        assert_eq!(check(&all, &fields).as_deref(), Ok("*"));
    }
    assert_eq!(check(&all, "Host: evil.example\r\n"), Err(Reason::HostRefused), "hosts are another matter");
}

#[test]
fn settings_that_would_never_match_are_told() {
    for host in ["", "http://a", "a/b", "*", "a:b"] {
        assert!(OriginRules::new([], [host.to_owned()], []).is_err(), "{host}");
    }
    for origin in ["", "app.example", "https://app.example/", "https://", "null", "https://*.example", "://a"] {
        assert!(OriginRules::new([], [], [origin.to_owned()]).is_err(), "{origin}");
    }
}

#[test]
fn a_preflight_tells_allowed_origins_alone_what_they_may_send() {
    let answer = |cors| {
        let mut out = Vec::new();
        Answer::begin(Exchange::closing(), Status::NO_CONTENT, &mut out).options(Methods::GetAndPost, cors);
        String::from_utf8(out).unwrap()
    };
    let allowed = answer(Cors::Origin(HeaderValue::own("https://app.example")));
    for field in [
        "HTTP/1.1 204 No Content",
        "Access-Control-Allow-Origin: https://app.example",
        "Vary: Origin",
        "Access-Control-Allow-Methods: GET, POST, OPTIONS",
        "Allow: GET, POST, OPTIONS",
        "Access-Control-Max-Age: 600",
    ] {
        assert!(allowed.lines().any(|line| line == field), "{field}: {allowed}");
    }
    for key in [fanwire_gateway::http::Key::Ack, fanwire_gateway::http::Key::Deadline] {
        assert!(allowed.contains(key.field().unwrap()), "{key:?}: {allowed}");
    }
    assert!(!allowed.contains("Credentials") && !allowed.contains("Content-Length"), "{allowed}");
    let refused = answer(Cors::None);
    assert!(refused.contains("\r\nAllow: ") && !refused.contains("Access-Control"), "{refused}");
}
