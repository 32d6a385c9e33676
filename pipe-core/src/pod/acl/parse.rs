//! Reads the part of HCL that policies of paths and capabilities are written in.

use super::{AclCapability, AclPolicy};
use crate::{Error, ErrorKind, Result};

/// # Errors
/// `InvalidArgument`, with the line, for what is no such policy, and for settings of a rule that
/// could restrict it further.
pub(super) fn policy(hcl: &str) -> Result<AclPolicy> {
    let mut reader = Reader { rest: hcl, all: hcl };
    let mut policy = AclPolicy::new();
    while !reader.is_at_end()? {
        reader.expect("path")?;
        let path = reader.quoted()?;
        reader.expect("{")?;
        reader.expect("capabilities")?;
        reader.expect("=")?;
        reader.expect("[")?;
        let mut capabilities = Vec::new();
        while !reader.takes("]")? {
            let name = reader.quoted()?;
            capabilities.push(AclCapability::parse(name).ok_or_else(|| reader.fault())?);
            if !reader.takes(",")? {
                reader.expect("]")?;
                break;
            }
        }
        reader.expect("}")?;
        policy = policy.allow(path, capabilities)?;
    }
    Ok(policy)
}

struct Reader<'a> {
    rest: &'a str,
    all: &'a str,
}

impl<'a> Reader<'a> {
    fn is_at_end(&mut self) -> Result<bool> {
        self.skip()?;
        Ok(self.rest.is_empty())
    }

    fn takes(&mut self, token: &str) -> Result<bool> {
        self.skip()?;
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        Ok(rest.is_some())
    }

    fn expect(&mut self, token: &str) -> Result<()> {
        if self.takes(token)? { Ok(()) } else { Err(self.fault()) }
    }

    /// A text in quotes, in which nothing is escaped.
    fn quoted(&mut self) -> Result<&'a str> {
        self.expect("\"")?;
        let (text, rest) = self.rest.split_once('"').ok_or_else(|| self.fault())?;
        if text.contains(['\\', '\n']) {
            return Err(self.fault());
        }
        self.rest = rest;
        Ok(text)
    }

    /// Blanks and comments.
    fn skip(&mut self) -> Result<()> {
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.starts_with('#') || self.rest.starts_with("//") {
                self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                let end = comment.split_once("*/").ok_or_else(|| self.fault())?;
                self.rest = end.1;
            } else {
                return Ok(());
            }
        }
    }

    fn fault(&self) -> Error {
        let line = self.all[..self.all.len() - self.rest.len()].lines().count().max(1);
        Error::new(ErrorKind::InvalidArgument, "not a policy of paths and capabilities")
            .with("line", line)
            .hint("use rules of the form: path \"…\" { capabilities = [\"read\"] }")
    }
}
