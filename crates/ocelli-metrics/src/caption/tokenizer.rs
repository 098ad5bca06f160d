//! stub
/// x
pub fn tokenize(s:&str)->String{s.to_lowercase()}
