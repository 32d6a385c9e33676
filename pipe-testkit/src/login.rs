//! What a case of the login suite is given, and the macro that makes its tests.

mod attempt;
mod features;
mod recorder;
mod stage;
mod trust;
mod userinfo;

pub use self::attempt::Attempt;
pub(crate) use self::attempt::parameter;
pub use self::features::LoginFeatures;
pub(crate) use self::recorder::Recorder;
pub use self::stage::LoginStage;
pub(crate) use self::stage::{PAUSE, TOKEN_LIFE};
pub use self::trust::LoginTrust;
pub(crate) use self::trust::{CLIENT, POST_LOGOUT, SECRET};

/// One `#[test]` per behaviour of a [`UserLogin`](pipe_core::identity::UserLogin) (feature `issuer`).
///
/// The argument names an `async fn(LoginTrust) -> Option<(Plugin, Guard)>` that makes a plugin which
/// logs people in at an issuer in the process: `LoginTrust` says how it has to be configured. It is
/// called more than once in a case, also while the issuer is down. `None` says that something is
/// absent that the plugin needs. `features` says what the plugin does not offer (`LoginFeatures::ALL`
/// unless given).
///
/// The tests are in a module `login_compliance`: two invocations need a `mod` of their own each.
///
/// ```ignore
/// use pipe_testkit::{LoginFeatures, LoginTrust};
///
/// async fn acme(trust: LoginTrust) -> Option<(AcmeLogin, ())> {
///     let login = AcmeLogin::new(&trust.issuer, &trust.client_id, &trust.client_secret)
///         .redirect_uri(&trust.redirect_uri)
///         .scopes(&trust.scopes)
///         .store(trust.sessions)
///         .clock(trust.clock);
///     Some((login, ()))
/// }
///
/// pipe_testkit::login_compliance!(acme, features = LoginFeatures::ALL.without_assurance());
/// ```
#[macro_export]
macro_rules! login_compliance {
    ($login:path $(,)?) => {
        $crate::login_compliance!($login, features = $crate::LoginFeatures::ALL);
    };
    ($login:path, features = $features:expr $(,)?) => {
        mod login_compliance {
            #[allow(unused_imports, reason = "the factories may be anything in scope")]
            use super::*;
            $crate::__login_cases! { __login_tests ! ($login, $features) }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __login_tests {
    ($factory:path, $features:expr ; $($case:ident,)*) => {$(
        #[test]
        fn $case() {
            $crate::run::login(
                stringify!($case),
                $factory,
                $features,
                $crate::cases::login::$case,
            );
        }
    )*};
}
