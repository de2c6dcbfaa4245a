use std::io::Write;

use super::*;

fn read_as(name: &str, bytes: &[u8]) -> Result<Text, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let place = format!("{}/", folder.path().display());
    read(&path).map_err(|error| error.to_string().replace(&place, ""))
}

fn text(bytes: &[u8]) -> String {
    read_as("t", bytes).unwrap().text
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstandard(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn packed_files_are_known_by_their_bytes_and_may_have_several_parts() {
    for pack in [gzip, bzip2, zstandard] {
        let (one, two) = (pack(b"0 1:1\n"), pack(b"1 2:1\n"));
        assert_eq!(text(&[one, two].concat()), "0 1:1\n1 2:1\n");
        assert_eq!(text(&pack(b"")), "");
    }
}

#[test]
fn damaged_packed_files_are_refused() {
    let letters: Vec<u8> = (0..100_000u32)
        .map(|n| b'a' + (n.wrapping_mul(n) % 23) as u8)
        .collect();
    for (name, pack) in [
        ("gzip", gzip as fn(&[u8]) -> Vec<u8>),
        ("bzip2", bzip2),
        ("Zstandard", zstandard),
    ] {
        let whole = pack(&letters);
        let cut = read_as("t", &whole[..whole.len() / 2]).unwrap_err();
        let expected = format!("t: expected a whole {name} file, found damage after");
        assert!(cut.starts_with(&expected), "{cut}");
    }
}

#[test]
fn checksums_of_zstandard_frames_are_compared() {
    // The checksum is the last four bytes of the frame.
    let mut frame = zstandard(b"0 1:1\n");
    assert_eq!(text(&frame), "0 1:1\n");
    let last = frame.len() - 1;
    frame[last] ^= 1;
    insta::assert_snapshot!(read_as("t", &frame).unwrap_err(), @"t: expected a whole Zstandard file, found damage after 6 bytes of text: its checksum is not that of the text");
}

#[test]
fn frames_that_carry_no_text_are_passed_over() {
    let skipped = [&[0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"own"].concat();
    let frame = zstandard(b"0 1:1\n");
    let whole = [&skipped[..], &frame, &skipped, &frame, &skipped].concat();
    assert_eq!(text(&whole), "0 1:1\n0 1:1\n");
    let cut = [&frame[..], &skipped[..9]].concat();
    assert!(read_as("t", &cut).is_err());
}

#[test]
fn a_file_that_unpacks_without_end_is_stopped() {
    let zeros = vec![b' '; 70 << 20];
    let packed = gzip(&gzip(&zeros));
    assert!(packed.len() < 2000);
    // Twice packed, it unpacks to a gzip file, which is no text.
    assert!(read_as("t", &packed).is_err());
    let bomb = bzip2(&zeros);
    assert!((bomb.len() as u64) * MAX_RATIO < 70 << 20, "{}", bomb.len());
    insta::assert_snapshot!(read_as("t", &bomb).unwrap_err(), @"t: expected at most 67108864 bytes of text in this bzip2 file (1000 times its size), found more; unpack it first if it is sound");
}

#[test]
fn letters_come_in_many_codes() {
    assert_eq!(text(b"\xef\xbb\xbfa,b\n"), "a,b\n");
    assert_eq!(text(b"\xff\xfea\0\xe4\0\n\0"), "aä\n");
    assert_eq!(text(b"\xfe\xff\0a\0\xe4\0\n"), "aä\n");
    let latin = read_as("t", b"m\xfasica\n").unwrap();
    assert_eq!(latin.text, "música\n");
    assert_eq!(latin.notes, ["not UTF-8; its letters are read as Latin-1"]);
    assert_eq!(text(b"a\rb\r"), "a\nb\n");
    assert_eq!(text(b"a\r\nb\r\n"), "a\r\nb\r\n");
    insta::assert_snapshot!(read_as("t", b"\x80\x04\0\0").unwrap_err(), @"t: expected text, found bytes of zero: this is another kind of file");
    insta::assert_snapshot!(read_as("t", b"\xff\xfea").unwrap_err(), @"t: expected UTF-16 as its first bytes say, found other bytes");
}
