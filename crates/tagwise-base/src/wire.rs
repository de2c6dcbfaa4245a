//! Protocol buffers' wire format: fields with their numbers, one after the other.
//!
//! ONNX models and TensorBoard's event files are such messages, of a few kinds of fields each.

/// A message under construction.
///
/// ```
/// use tagwise_base::wire::Message;
///
/// let mut message = Message::default();
/// message.int(1, 150);
/// assert_eq!(message.into_bytes(), [0x08, 0x96, 0x01]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// A whole number; negative ones take ten bytes, as the format has it.
    pub fn int(&mut self, field: u32, value: i64) {
        self.tag(field, 0);
        self.varint(value.cast_unsigned());
    }

    /// A 32-bit floating-point number.
    pub fn float(&mut self, field: u32, value: f32) {
        self.tag(field, 5);
        self.0.extend(value.to_le_bytes());
    }

    /// A 64-bit floating-point number.
    pub fn double(&mut self, field: u32, value: f64) {
        self.tag(field, 1);
        self.0.extend(value.to_le_bytes());
    }

    /// 64-bit floating-point numbers, packed.
    pub fn doubles(&mut self, field: u32, values: &[f64]) {
        self.tag(field, 2);
        self.varint(8 * values.len() as u64);
        self.0
            .extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    /// Bytes.
    pub fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// Text, which the format has in UTF-8.
    pub fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    /// A message within this one.
    pub fn message(&mut self, field: u32, message: &Self) {
        self.bytes(field, &message.0);
    }

    /// What the message is sent as.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The number of a field with how its value is stored.
    fn tag(&mut self, field: u32, kind: u64) {
        self.varint(u64::from(field) << 3 | kind);
    }

    /// Seven bits a byte, the lowest first; the eighth bit says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_as_the_encoding_guide_has_them() {
        // The first two examples of protobuf.dev/programming-guides/encoding.
        let mut message = Message::default();
        message.int(1, 150);
        assert_eq!(message.into_bytes(), [0x08, 0x96, 0x01]);
        let mut message = Message::default();
        message.text(2, "testing");
        assert_eq!(message.into_bytes(), b"\x12\x07testing");
        let mut message = Message::default();
        message.doubles(3, &[1.0, -0.5]);
        let bytes = [
            [0x1a, 16].as_slice(),
            &1f64.to_le_bytes(),
            &(-0.5f64).to_le_bytes(),
        ];
        assert_eq!(message.into_bytes(), bytes.concat());
        let mut message = Message::default();
        message.int(1, -1);
        assert_eq!(message.into_bytes().len(), 11);
    }
}
