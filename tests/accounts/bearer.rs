//! Bearer tokens of the demo, and its signing keys.

use std::{fs, process::Command};

use super::site::{HttpResponse, Site, accounts};

fn token(site: &Site, cookie: &str) -> String {
    let response = site.post("/session/token", cookie, "");
    assert_eq!(response.status(), "200", "{}", response.head);
    assert_eq!(response.header("cache-control"), "no-store");
    response.json()["token"].as_str().unwrap().to_owned()
}

fn get_with_bearer(site: &Site, path: &str, token: &str) -> HttpResponse {
    site.get(path, &format!("Authorization: Bearer {token}\r\n"))
}

/// The header and the payload of a token, unverified.
fn parts(token: &str) -> [serde_json::Value; 2] {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    [(); 2].map(|()| serde_json::from_slice(&parts.next().unwrap()).unwrap())
}

#[test]
fn demo_accepts_bearer_tokens_only_if_enabled() {
    for (setting, status) in [("on", "200"), ("off", "401")] {
        let site = Site::start(&[("SESSION_BEARER", setting)]);
        let ada = site.post("/sign-in", "", "user=ada").cookie();
        let page = site.get("/me", &ada).body;
        assert!(page.contains("action=\"/session/token\""), "a form without script: {page}");
        let token = token(&site, &ada);
        let [header, claims] = parts(&token);
        assert_eq!((&header["typ"], &header["alg"]), (&"JWT".into(), &"HS256".into()));
        assert_eq!((&claims["azp"], &claims["sub"]), (&site.origin().into(), &"ada".into()));
        let response = get_with_bearer(&site, "/api/me", &token);
        assert_eq!((response.status(), response.header("set-cookie")), (status, ""));
        if setting == "on" {
            assert_eq!(response.json()["subject"], "ada");
            assert_eq!(get_with_bearer(&site, "/me", &token).status(), "200");
            let rejected = get_with_bearer(&site, "/me", "invalid");
            let challenge = "Bearer error=\"invalid_token\"";
            assert_eq!(
                (rejected.status(), rejected.header("www-authenticate")),
                ("401", challenge)
            );
            assert_eq!(site.post("/sign-out", &ada, "scope=browser").status(), "303");
            assert_eq!(get_with_bearer(&site, "/api/me", &token).status(), "401");
        }
    }
}

#[test]
fn demo_signs_with_a_generated_key_of_every_algorithm() {
    for algorithm in ["HS256", "EdDSA", "ES256", "RS256", "PS256"] {
        let settings = [("SESSION_ALGORITHM", algorithm), ("SESSION_BEARER", "on")];
        let site = Site::start(&settings);
        let ada = site.post("/sign-in", "", "user=ada").cookie();
        let token = token(&site, &ada);
        assert_eq!(parts(&token)[0]["alg"], algorithm);
        assert_eq!(get_with_bearer(&site, "/api/me", &token).json()["subject"], "ada");
    }
}

/// A key from OpenSSL can be read, and sessions stay valid across a restart.
#[test]
fn demo_reads_keys_from_files_and_reports_invalid_key_settings() {
    let folder = std::env::temp_dir().join(format!("accounts-keys-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("key.pem");
    let generated = Command::new("openssl")
        .args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"])
        .arg(&file)
        .output();
    if generated.is_ok_and(|generated| generated.status.success()) {
        let path = file.to_str().unwrap();
        let settings = [("SESSION_ALGORITHM", "ES256"), ("SESSION_KEY_FILE", path)];
        let site = Site::start(&settings);
        let ada = site.post("/sign-in", "", "user=ada").cookie();
        let kid = parts(&token(&site, &ada))[0]["kid"].clone();
        assert_eq!(kid.as_str().unwrap().len(), 43, "a thumbprint: {kid}");
        assert_eq!(site.stop(), Some(0));
        let restarted = Site::start(&settings);
        assert_eq!(restarted.get("/api/me", &ada).json()["subject"], "ada");
        assert_eq!(parts(&token(&restarted, &ada))[0]["kid"], kid);
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
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("1 problem") && stderr.contains(name), "{stderr}");
        assert!(!stderr.contains("quiet-please"), "{stderr}");
    }
    let _ = fs::remove_dir_all(folder);
}
