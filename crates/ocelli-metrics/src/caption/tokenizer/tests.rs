use super::tokenize;

#[test]
fn contractions_are_cut() {
    assert_eq!(tokenize("The man's dog can't run, it's John's."), "the man 's dog ca n't run it 's john 's");
    assert_eq!(tokenize("I'm gonna say they cannot; we'll see"), "i 'm gon na say they can not we 'll see");
}

#[test]
fn brackets_stay() {
    assert_eq!(
        tokenize("a dog (outdoors) [x] {y}"),
        "a dog -lrb- outdoors -rrb- -lsb- x -rsb- -lcb- y -rcb-"
    );
}

#[test]
fn runs_of_signs_stay() {
    assert_eq!(tokenize("what?! yes!! no! ... -- - ..."), "what ?! yes !! no");
}

#[test]
fn signs_between_letters_stay() {
    assert_eq!(tokenize("the end.The next hello!there"), "the end.the next hello!there");
}

#[test]
fn numbers_may_hold_a_blank() {
    assert_eq!(tokenize("1 1/2 cups"), "1\u{a0}1/2 cups");
    assert_eq!(tokenize("(555) 555-1234"), "-lrb-555-rrb-\u{a0}555-1234");
}

#[test]
fn a_caption_stands_by_itself() {
    // In one file with a caption that begins with "The" the letter would lose its dot.
    assert_eq!(tokenize("he reads plan b."), "he reads plan b.");
    assert_eq!(tokenize("he reads plan b. The end"), "he reads plan b the end");
}

#[test]
fn empty_captions_have_no_tokens() {
    assert_eq!(tokenize(""), "");
    assert_eq!(tokenize(" . ! \t"), "");
}
