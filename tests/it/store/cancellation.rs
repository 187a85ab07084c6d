//! Requests that are dropped, and handlers that panic, wherever they are: no session without a
//! cookie, and no sign-out that is forgotten.

use std::{future::Future, time::Duration};

use tower_auth_session::{SignIn, store::SessionStore};

use super::fixture::Node;
use crate::support::{Browser, faulty_store::Fault, subject, user};

/// Lets time pass for what goes on beside requests.
async fn recover(node: &Node) {
    node.store.set(Fault::None);
    let background = tokio::spawn(node.layer.background());
    for _ in 0..4 {
        node.advance(1);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    background.abort();
}

/// How many sessions of `who` live in the store.
async fn living(node: &Node, who: &str) -> usize {
    let now = tower_auth_session::Clock::now(&node.clock).timestamp();
    let subject = subject(who);
    node.store.memory.sessions_of(&subject, now, None, 9).await.unwrap().sessions.len()
}

/// Runs `request` for `time` and then gives it up. Whether it was done by then.
async fn cut<F: Future + Send + 'static>(time: Duration, request: F) -> bool
where
    F::Output: Send,
{
    let request = tokio::spawn(request);
    tokio::time::sleep(time).await;
    let is_done = request.is_finished();
    request.abort();
    let _ = request.await;
    is_done
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_that_is_given_up_leaves_no_session_behind() {
    for fault in [Fault::Slow(Duration::from_millis(4)), Fault::WritesAndHangs] {
        for path in ["/in?bob", "/commit?bob"] {
            let mut was_done = false;
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
                was_done = cut(Duration::from_millis(ms), request).await;
                recover(&node).await;
                if !was_done {
                    assert_eq!(living(&node, "bob").await, 0, "{fault:?} {path} {ms}");
                    if fault != Fault::WritesAndHangs && ms <= 6 {
                        assert_eq!(node.who(&mut browser).await, "ada", "{fault:?} {path} {ms}");
                    }
                }
            }
            assert!(was_done || fault == Fault::WritesAndHangs, "{path}: all points were visited");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_after_a_commit_leaves_no_session_behind() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    for is_panic in [true, false] {
        let request = {
            let (node, mut browser) = (node.clone(), browser.clone());
            async move {
                node.run_handler(&mut browser, move |jar| async move {
                    jar.sign_in(SignIn::new(subject("bob"), user("bob"))).unwrap();
                    jar.commit().await.unwrap();
                    assert!(!is_panic, "as if by mistake");
                    std::future::pending::<()>().await;
                })
                .await;
            }
        };
        cut(Duration::from_millis(1), request).await;
        recover(&node).await;
        assert_eq!(living(&node, "bob").await, 0, "panicked: {is_panic}");
        assert_eq!(node.who(&mut browser).await, "ada");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_is_unavailable() {
    let node = Node::new();
    let mut browser = node.sign_in("ada").await;
    node.advance(10);
    node.store.set(Fault::Panics);
    assert_eq!(node.who(&mut browser).await, "Unavailable");
    for path in ["/in?bob", "/out"] {
        let request = {
            let (node, mut browser) = (node.clone(), browser.clone());
            async move { node.post(&mut browser, path).await.status }
        };
        assert!(tokio::spawn(request).await.is_err(), "the connection breaks: {path}");
    }
    recover(&node).await;
    assert_eq!((living(&node, "ada").await, living(&node, "bob").await), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_that_is_given_up_happens_all_the_same() {
    for verb in ["this", "all", "everywhere"] {
        for ms in 1..14 {
            let node = Node::of_several();
            let mut browser = node.sign_in("ada").await;
            node.post(&mut browser, "/in?bob").await;
            let phone = node.sign_in("bob").await;
            node.advance(1);
            node.store.set(Fault::Slow(Duration::from_millis(3)));
            let request = {
                let (node, mut browser) = (node.clone(), browser.clone());
                async move {
                    node.run_handler(&mut browser, move |jar| async move {
                        match verb {
                            "this" => drop(jar.sign_out()),
                            "all" => drop(jar.sign_out_all()),
                            _ => drop(jar.sign_out_everywhere(None).unwrap()),
                        }
                    })
                    .await
                    .status
                }
            };
            cut(Duration::from_millis(ms), request).await;
            assert_ne!(node.who(&mut browser.clone()).await, "bob", "{verb} {ms}: here at once");
            recover(&node).await;
            let expected = match verb {
                "this" => (1, 1),
                "all" => (0, 1),
                _ => (1, 0),
            };
            let left = (living(&node, "ada").await, living(&node, "bob").await);
            assert_eq!(left, expected, "{verb} {ms}");
            drop(phone);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_sign_ins_in_one_request_one_is_kept() {
    for commits in [[true, true], [true, false], [false, true], [false, false]] {
        for fault in [Fault::None, Fault::Flapping] {
            let node = Node::new();
            let mut browser = Browser::default();
            node.store.set_for("end", fault);
            let response = node
                .run_handler(&mut browser, move |jar| async move {
                    for (who, commit) in ["ada", "bob"].into_iter().zip(commits) {
                        jar.sign_in(SignIn::new(subject(who), user(who))).unwrap();
                        if commit {
                            jar.commit().await.unwrap();
                        }
                    }
                })
                .await;
            assert_eq!(response.status, 200, "{commits:?} {fault:?}");
            assert_eq!(node.who(&mut browser).await, "bob");
            recover(&node).await;
            let left = (living(&node, "ada").await, living(&node, "bob").await);
            assert_eq!(left, (0, 1), "{commits:?} {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_that_is_taken_back_is_not_kept() {
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
        assert_eq!(living(&node, "ada").await, 0);
    }
}

/// `commit` went well, and the response cannot carry the cookie.
#[tokio::test(start_paused = true)]
async fn what_was_committed_and_cannot_be_carried_is_not_kept() {
    use axum::http::{StatusCode, header::CACHE_CONTROL};
    for (status, cache) in [(200, "public"), (200, "s-maxage=9"), (304, "no-cache")] {
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
        assert_eq!(living(&node, "bob").await, 0, "{status} {cache}");
        assert_eq!(node.who(&mut browser).await, "ada");
    }
    // Errors carry cookies like any other response.
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
        assert_eq!(node.who(&mut browser).await, "bob");
        assert_eq!((living(&node, "ada").await, living(&node, "bob").await), (0, 1));
    }
}

/// Signing out and in again, where the store takes the one and not the other.
#[tokio::test(start_paused = true)]
async fn nobody_is_signed_in_by_a_response_that_says_it_failed() {
    for several in [false, true] {
        let node = if several { Node::of_several() } else { Node::new() };
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
        assert_eq!(node.who(&mut copy).await, "SignedOut");
        recover(&node).await;
        let left = (living(&node, "ada").await, living(&node, "bob").await);
        assert_eq!(left, (0, 0), "several: {several}");
    }
}

/// Two sign-ins must not share an id, and the one that was there first is nobody's to end.
#[tokio::test(start_paused = true)]
async fn an_id_that_is_taken_stays_with_whoever_has_it() {
    let node = Node::new();
    let mut browser = Browser::default();
    node.store.set_for("create", Fault::Conflict);
    let response = node.post(&mut browser, "/in?ada").await;
    assert_eq!((response.status.as_u16(), response.set_cookies().len()), (503, 0));
    recover(&node).await;
    assert_eq!(node.store.take_calls(), ["create"], "nothing is ended");
}
