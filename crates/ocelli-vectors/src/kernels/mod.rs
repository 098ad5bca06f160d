//! Loops that search spends its time in, each with a plain twin that the faster ones are tested against.
//!
//! | file | what it holds |
//! |---|---|
//! | `lut/` | scores of packed 4-bit codes by table lookup |
//! | `rows.rs` | inner products with stored rows: single, half and 8-bit precision |
//! | `product.rs` | matrix products |
//! | `blocks.rs` | k-means and codes of product quantization |

pub(crate) mod blocks;
pub(crate) mod lut;
pub(crate) mod product;
pub(crate) mod rows;
