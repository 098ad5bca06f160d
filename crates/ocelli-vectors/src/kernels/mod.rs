//! Loops that search spends its time in, each with a plain twin that the faster ones are tested against, and mapped
//! files. Unsafe code stands here and nowhere else in this crate.
//!
//! | file | what it holds |
//! |---|---|
//! | `lut/` | scores of packed 4-bit codes by table lookup |
//! | `hamming/` | distances of binary codes |
//! | `rows.rs` | inner products with stored rows: single, half and 8-bit precision |
//! | `bytes.rs` | rough inner products with many rows in eight bits |
//! | `product.rs` | matrix products |
//! | `blocks.rs` | k-means and codes of product quantization |
//! | `map.rs` | files mapped into memory |

pub(crate) mod blocks;
pub(crate) mod bytes;
pub(crate) mod hamming;
pub(crate) mod lut;
pub(crate) mod map;
pub(crate) mod product;
pub(crate) mod rows;
