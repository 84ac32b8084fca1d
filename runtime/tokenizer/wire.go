package tokenizer

import (
	"encoding/binary"
	"errors"
)

var errCut = errors.New("it is cut short, or no protobuf message")

// eachField calls visit for every field of a protobuf message: v is its value
// if that is a number (of floats, the bits), data if it is text, bytes or a
// message. Nothing is copied or reserved, whatever lengths the message claims.
func eachField(message []byte, visit func(field int, v uint64, data []byte) error) error {
	for len(message) > 0 {
		tag, n := binary.Uvarint(message)
		if n <= 0 || tag>>3 == 0 || tag>>3 >= 1<<29 {
			return errCut
		}
		message = message[n:]
		var v uint64
		var data []byte
		switch tag & 7 {
		case 0: // varint
			v, n = binary.Uvarint(message)
			if n <= 0 {
				return errCut
			}
		case 1: // 64 bit
			if n = 8; len(message) < n {
				return errCut
			}
			v = binary.LittleEndian.Uint64(message)
		case 2: // length-delimited
			size, m := binary.Uvarint(message)
			if m <= 0 || size > uint64(len(message)-m) {
				return errCut
			}
			n = m + int(size)
			data = message[m:n:n]
		case 5: // 32 bit
			if n = 4; len(message) < n {
				return errCut
			}
			v = uint64(binary.LittleEndian.Uint32(message))
		default:
			return errCut
		}
		message = message[n:]
		if err := visit(int(tag>>3), v, data); err != nil {
			return err
		}
	}
	return nil
}
