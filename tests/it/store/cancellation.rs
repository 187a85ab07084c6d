//! Dropped requests and panicking handlers at any point leave no session without a cookie, and lose no
//! sign-out.

use std::{future::Future, time::Duration};

use tower_auth_session::{SignIn, store::SessionStore};

use super::fixture::Node;
use crate::support::{Browser, faulty_store::Fault, subject, user};

/// Ends the fault and runs the background task for a few seconds.
async fn recover(node: &Node) {
    node.store.set(Fault::None);
    let background = tokio::spawn(node.layer.background());
    for _ in 0..4 {
        node.advance(1);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    background.abort();
}

/// The number of valid sessions of a subject in the store.
async fn count_sessions(node: &Node, name: &str) -> usize {
    let now = tower_auth_session::time::Clock::now(&node.clock).timestamp();
    let subject = subject(name);
    node.store.memory.list(&subject, now, None, 9).await.unwrap().sessions.len()
}

/// Runs `request` for `time` and then drops it. Returns whether it was complete.
async fn drop_after<F: Future + Send + 'static>(time: Duration, request: F) -> bool
where
    F::Output: Send,
{
    let request = tokio::spawn(request);
    tokio::time::sleep(time).await;
    let is_complete = request.is_finished();
    request.abort();
    let _ = request.await;
    is_complete
}

#[tokio::test(start_paused = true)]
async fn dropped_sign_in_leaves_no_session_in_the_store() {
    for fault in [Fault::Slow(Duration::from_millis(4)), Fault::WritesAndHangs] {
        for path in ["/in?bob", "/commit?bob"] {
            let mut was_complete = false;
            for ms in 0..14 {
                let node = Node::new();
                let mut browser = node.sign_in("ada").await;
                node.advance(10);
                node.store.set(fault);
                node.store.set_for("renew", Fault::Slow(Duration::from_millis(2)));
                let request = {
                    let (node, mut browser) = (node.clone(), browser.clone());
                    async move { node.post(&mut browser, path).await.status }
                };
                was_complete = drop_after(Duration::from_millis(ms), request).await;
                recover(&node).await;
                if !was_complete {
                    assert_eq!(count_sessions(&node, "bob").await, 0, "{fault:?} {path} {ms}");
                    if fault != Fault::WritesAndHangs && ms <= 6 {
                        assert_eq!(
                            node.current_user(&mut browser).await,
                            "ada",
                            "{fault:?} {path} {ms}"
                        );
                    }
                }
            }
            assert!(
                was_complete || fault == Fault::WritesAndHangs,
                "{path}: all points were visited"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn handler_that_fails_after_a_commit_leaves_no_session_in_the_store() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    for is_panic in [true, false] {
        let request = {
            let (node, mut browser) = (node.clone(), browser.clone());
            async move {
                node.run_handler(&mut browser, move |jar| async move {
                    jar.sign_in(SignIn::new(subject("bob"), user("bob"))).unwrap();
                    jar.commit().await.unwrap();
                    assert!(!is_panic, "a fault in the handler");
                    std::future::pending::<()>().await;
                })
                .await;
            }
        };
        drop_after(Duration::from_millis(1), request).await;
        recover(&node).await;
        assert_eq!(count_sessions(&node, "bob").await, 0, "panicked: {is_panic}");
        assert_eq!(node.current_user(&mut browser).await, "ada");
    }
}

#[tokio::test(start_paused = true)]
async fn panicking_store_is_unavailable() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    node.advance(10);
    node.store.set(Fault::Panics);
    assert_eq!(node.current_user(&mut browser).await, "Unavailable");
    for path in ["/in?bob", "/out"] {
        let request = {
            let (node, mut browser) = (node.clone(), browser.clone());
            async move { node.post(&mut browser, path).await.status }
        };
        assert!(tokio::spawn(request).await.is_err(), "the connection breaks: {path}");
    }
    recover(&node).await;
    assert_eq!((count_sessions(&node, "ada").await, count_sessions(&node, "bob").await), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn dropped_sign_out_is_completed_in_the_background() {
    for scope in ["this", "all", "everywhere"] {
        for ms in 1..14 {
            let node = Node::multi_session();
            let mut browser = node.sign_in("ada").await;
            node.post(&mut browser, "/in?bob").await;
            let phone = node.sign_in("bob").await;
            node.advance(1);
            node.store.set(Fault::Slow(Duration::from_millis(3)));
            let request = {
                let (node, mut browser) = (node.clone(), browser.clone());
                async move {
                    node.run_handler(&mut browser, move |jar| async move {
                        match scope {
                            "this" => drop(jar.sign_out()),
                            "all" => drop(jar.sign_out_all()),
                            _ => drop(jar.sign_out_everywhere(None).unwrap()),
                        }
                    })
                    .await
                    .status
                }
            };
            drop_after(Duration::from_millis(ms), request).await;
            assert_ne!(
                node.current_user(&mut browser.clone()).await,
                "bob",
                "{scope} {ms}: revoked in this process at once"
            );
            recover(&node).await;
            let expected = match scope {
                "this" => (1, 1),
                "all" => (0, 1),
                _ => (1, 0),
            };
            let remaining =
                (count_sessions(&node, "ada").await, count_sessions(&node, "bob").await);
            assert_eq!(remaining, expected, "{scope} {ms}");
            drop(phone);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn last_of_two_sign_ins_in_one_request_is_kept() {
    for commits in [[true, true], [true, false], [false, true], [false, false]] {
        for fault in [Fault::None, Fault::Flapping] {
            let node = Node::new();
            let mut browser = Browser::default();
            node.store.set_for("end", fault);
            let response = node
                .run_handler(&mut browser, move |jar| async move {
                    for (name, commit) in ["ada", "bob"].into_iter().zip(commits) {
                        jar.sign_in(SignIn::new(subject(name), user(name))).unwrap();
                        if commit {
                            jar.commit().await.unwrap();
                        }
                    }
                })
                .await;
            assert_eq!(response.status, 200, "{commits:?} {fault:?}");
            assert_eq!(node.current_user(&mut browser).await, "bob");
            recover(&node).await;
            let remaining =
                (count_sessions(&node, "ada").await, count_sessions(&node, "bob").await);
            assert_eq!(remaining, (0, 1), "{commits:?} {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sign_in_withdrawn_in_the_same_request_is_not_stored() {
    for commits in [true, false] {
        let node = Node::new();
        let mut browser = Browser::default();
        let response = node
            .run_handler(&mut browser, move |jar| async move {
                jar.sign_in(SignIn::new(subject("ada"), user("ada"))).unwrap();
                if commits {
                    jar.commit().await.unwrap();
                }
                jar.sign_out();
            })
            .await;
        assert_eq!((response.status.as_u16(), response.set_cookies().len()), (200, 0));
        assert_eq!(count_sessions(&node, "ada").await, 0);
    }
}

/// `commit` succeeds, and then the response cannot carry the cookie.
#[tokio::test(start_paused = true)]
async fn committed_sign_in_without_a_cookie_is_revoked() {
    use axum::http::{StatusCode, header::CACHE_CONTROL};
    for (status, cache) in [(200, "public"), (200, "s-maxage=9"), (304, "public")] {
        let node = Node::new();
        let mut browser = node.sign_in("ada").await;
        let response = node
            .run_handler(&mut browser, move |jar| async move {
                jar.sign_in(SignIn::new(subject("bob"), user("bob"))).unwrap();
                jar.commit().await.unwrap();
                (StatusCode::from_u16(status).unwrap(), [(CACHE_CONTROL, cache)])
            })
            .await;
        assert_eq!((response.status.as_u16(), response.set_cookies().len()), (500, 0), "{status}");
        recover(&node).await;
        assert_eq!(count_sessions(&node, "bob").await, 0, "{status} {cache}");
        assert_eq!(node.current_user(&mut browser).await, "ada");
    }
    // Error responses carry cookies like all others.
    for status in [400, 500] {
        let node = Node::new();
        let mut browser = node.sign_in("ada").await;
        let response = node
            .run_handler(&mut browser, move |jar| async move {
                jar.sign_in(SignIn::new(subject("bob"), user("bob"))).unwrap();
                jar.commit().await.unwrap();
                StatusCode::from_u16(status).unwrap()
            })
            .await;
        assert_eq!(response.status, status);
        assert_eq!(node.current_user(&mut browser).await, "bob");
        assert_eq!(
            (count_sessions(&node, "ada").await, count_sessions(&node, "bob").await),
            (0, 1)
        );
    }
}

/// Signing out and in again, if the store accepts only one of the two writes.
#[tokio::test(start_paused = true)]
async fn failed_response_never_signs_in() {
    for multi_session in [false, true] {
        let node = if multi_session { Node::multi_session() } else { Node::new() };
        let mut browser = node.sign_in("ada").await;
        let mut copy = browser.clone();
        node.store.set_for("end", Fault::Refused);
        let response = node
            .run_handler(&mut browser, |jar| async move {
                jar.sign_out();
                jar.sign_in(SignIn::new(subject("bob"), user("bob"))).unwrap();
            })
            .await;
        assert_eq!(response.status, 503);
        assert!(browser.has_no_session(), "{:?}", browser.cookies);
        assert_eq!(node.current_user(&mut copy).await, "SignedOut");
        recover(&node).await;
        let remaining = (count_sessions(&node, "ada").await, count_sessions(&node, "bob").await);
        assert_eq!(remaining, (0, 0), "multi-session: {multi_session}");
    }
}

/// Two sign-ins must not share an id, and the existing session must not be revoked.
#[tokio::test(start_paused = true)]
async fn sign_in_with_an_existing_id_fails_and_keeps_the_session() {
    let node = Node::new();
    let mut browser = Browser::default();
    node.store.set_for("create", Fault::Conflict);
    let response = node.post(&mut browser, "/in?ada").await;
    assert_eq!((response.status.as_u16(), response.set_cookies().len()), (503, 0));
    recover(&node).await;
    assert_eq!(node.store.take_calls(), ["create"], "nothing is revoked");
}
