//! `password-example` serves the site; `password-example add NAME [admin]` adds a user, whose password is
//! the first line of standard input.

use std::{env, error::Error, io, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use password_example::{Attempts, Role, Users};
use sqlx::{SqlitePool, sqlite::SqliteConnectOptions};
use tokio::net::TcpListener;
use tower_auth_session::{Algorithm, ConfigError, KeyRing, SigningKey, time::SystemClock};

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let database = setting("DATABASE", "password-example.sqlite");
    let options = SqliteConnectOptions::new().filename(database).create_if_missing(true);
    let pool = SqlitePool::connect_with(options).await?;
    password_example::migrate(&pool).await?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => serve(pool).await,
        ["add", name] => add(pool, name, Role::Member).await,
        ["add", name, "admin"] => add(pool, name, Role::Admin).await,
        _ => Err("usage: password-example [add NAME [admin]]".into()),
    }
}

async fn add(pool: SqlitePool, name: &str, role: Role) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut password = String::new();
    io::stdin().read_line(&mut password)?;
    Users::new(pool).add(name, password.trim_end_matches(['\r', '\n']), role).await?;
    println!("{name} was added");
    Ok(())
}

async fn serve(pool: SqlitePool) -> Result<(), Box<dyn Error + Send + Sync>> {
    let listener = TcpListener::bind(setting("LISTEN", "127.0.0.1:3000")).await?;
    let address = listener.local_addr()?;
    let origin = setting("ORIGIN", &format!("http://{address}"));
    let sessions = password_example::sessions(keys()?, &origin, &pool, SystemClock::new())?;
    tokio::spawn(sessions.background());
    let attempts = Arc::new(Attempts::default());
    tokio::spawn({
        let attempts = Arc::clone(&attempts);
        async move {
            loop {
                tokio::time::sleep(Duration::from_secs(600)).await;
                attempts.forget_old();
            }
        }
    });
    let site = password_example::site(sessions, pool, attempts);
    println!("listening on {origin}");
    // Attempts are counted by the client's address. Behind a proxy, take it from a header that the proxy
    // sets and clients cannot.
    axum::serve(listener, site.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}

/// The key that signs sessions, from a secret of the service.
fn keys() -> Result<KeyRing, ConfigError> {
    let key = match env::var("SESSION_SECRET") {
        Ok(secret) => SigningKey::hs256("1", secret)?,
        Err(_) => {
            eprintln!("SESSION_SECRET is not set: sessions end when this process ends");
            SigningKey::generate("1", Algorithm::Hs256)?
        }
    };
    Ok(KeyRing::new(key))
}

fn setting(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}
