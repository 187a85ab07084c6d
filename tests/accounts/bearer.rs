//! Bearer tokens of the demo, and the keys that it signs with.

use std::{fs, process::Command};

use super::site::{Answer, Site, accounts};

fn token(site: &Site, cookie: &str) -> String {
    let answer = site.post("/session/token", cookie, "");
    assert_eq!(answer.status(), "200", "{}", answer.head);
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.json()["token"].as_str().unwrap().to_owned()
}

fn by_bearer(site: &Site, path: &str, token: &str) -> Answer {
    site.get(path, &format!("Authorization: Bearer {token}\r\n"))
}

/// The header and the payload of a token, unverified.
fn parts(token: &str) -> [serde_json::Value; 2] {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    [(); 2].map(|()| serde_json::from_slice(&parts.next().unwrap()).unwrap())
}

#[test]
fn a_token_is_the_session_where_that_is_switched_on() {
    for (setting, status) in [("on", "200"), ("off", "401")] {
        let site = Site::start(&[("SESSION_BEARER", setting)]);
        let ada = site.post("/sign-in", "", "user=ada").cookie();
        let page = site.get("/me", &ada).body;
        assert!(page.contains("action=\"/session/token\""), "a form without script: {page}");
        let token = token(&site, &ada);
        let [header, claims] = parts(&token);
        assert_eq!((&header["typ"], &header["alg"]), (&"JWT".into(), &"HS256".into()));
        assert_eq!((&claims["azp"], &claims["sub"]), (&site.origin().into(), &"ada".into()));
        let answer = by_bearer(&site, "/api/me", &token);
        assert_eq!((answer.status(), answer.header("set-cookie")), (status, ""));
        if setting == "on" {
            assert_eq!(answer.json()["subject"], "ada");
            assert_eq!(by_bearer(&site, "/me", &token).status(), "200");
            let bad = by_bearer(&site, "/me", "junk");
            let challenge = "Bearer error=\"invalid_token\"";
            assert_eq!((bad.status(), bad.header("www-authenticate")), ("401", challenge));
            assert_eq!(site.post("/sign-out", &ada, "scope=browser").status(), "303");
            assert_eq!(by_bearer(&site, "/api/me", &token).status(), "401");
        }
    }
}

#[test]
fn every_algorithm_signs_with_a_key_of_this_run() {
    for algorithm in ["HS256", "EdDSA", "ES256", "RS256", "PS256"] {
        let settings = [("SESSION_ALGORITHM", algorithm), ("SESSION_BEARER", "on")];
        let site = Site::start(&settings);
        let ada = site.post("/sign-in", "", "user=ada").cookie();
        let token = token(&site, &ada);
        assert_eq!(parts(&token)[0]["alg"], algorithm);
        assert_eq!(by_bearer(&site, "/api/me", &token).json()["subject"], "ada");
    }
}

/// What OpenSSL makes can be read, and sessions outlive the process.
#[test]
fn keys_from_files() {
    let folder = std::env::temp_dir().join(format!("accounts-keys-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("key.pem");
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"])
        .arg(&file)
        .output();
    if made.is_ok_and(|made| made.status.success()) {
        let path = file.to_str().unwrap();
        let settings = [("SESSION_ALGORITHM", "ES256"), ("SESSION_KEY_FILE", path)];
        let site = Site::start(&settings);
        let ada = site.post("/sign-in", "", "user=ada").cookie();
        let kid = parts(&token(&site, &ada))[0]["kid"].clone();
        assert_eq!(kid.as_str().unwrap().len(), 43, "a thumbprint: {kid}");
        assert_eq!(site.stop(), Some(0));
        let again = Site::start(&settings);
        assert_eq!(again.get("/api/me", &ada).json()["subject"], "ada");
        assert_eq!(parts(&token(&again, &ada))[0]["kid"], kid);
    }
    let path = folder.join("none.pem");
    let path = path.to_str().unwrap();
    for (settings, name) in [
        (&[("SESSION_ALGORITHM", "none")][..], "SESSION_ALGORITHM"),
        (&[("SESSION_BEARER", "yes")], "SESSION_BEARER"),
        (&[("SESSION_KEY_FILE", path)], "SESSION_KEY_FILE"),
        (&[("SESSION_ALGORITHM", "ES256"), ("SESSION_KEY_FILE", path)], "SESSION_KEY_FILE"),
        (&[("SESSION_ALGORITHM", "EdDSA"), ("SESSION_SECRET", "quiet-please")], "SESSION_SECRET"),
    ] {
        let output = accounts(settings).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("1 problem") && told.contains(name), "{told}");
        assert!(!told.contains("quiet-please"), "{told}");
    }
    let _ = fs::remove_dir_all(folder);
}
