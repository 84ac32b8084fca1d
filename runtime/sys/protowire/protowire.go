// Package protowire reads and writes the wire format of protocol buffers
// (protobuf.dev/programming-guides/encoding), as far as the files of other
// programs need it. It knows no message.
package protowire

import (
	"encoding/binary"
	"errors"
	"math"
)

// ErrCut is the fault of bytes that are no message, or only its beginning.
var ErrCut = errors.New("it is cut short, or no protobuf message")

// Each calls visit for every field of a message: v is its value if that is a
// number (of floats, the bits), data if it is text, bytes or a message.
// Nothing is copied or reserved, whatever lengths the message claims.
func Each(message []byte, visit func(field int, v uint64, data []byte) error) error {
	for len(message) > 0 {
		field, v, data, n := Field(message)
		if n == 0 {
			return ErrCut
		}
		message = message[n:]
		if err := visit(field, v, data); err != nil {
			return err
		}
	}
	return nil
}

// Field reads the first field of a message and returns how many bytes it
// takes, 0 when there is none.
func Field(message []byte) (field int, v uint64, data []byte, size int) {
	tag, at := binary.Uvarint(message)
	if at <= 0 || tag>>3 == 0 || tag>>3 >= 1<<29 {
		return 0, 0, nil, 0
	}
	rest := message[at:]
	n := 0
	switch tag & 7 {
	case 0: // varint
		v, n = binary.Uvarint(rest)
	case 1: // 64 bit
		if len(rest) >= 8 {
			v, n = binary.LittleEndian.Uint64(rest), 8
		}
	case 2: // length-delimited
		if size, m := binary.Uvarint(rest); m > 0 && size <= uint64(len(rest)-m) {
			n = m + int(size)
			data = rest[m:n:n]
		}
	case 5: // 32 bit
		if len(rest) >= 4 {
			v, n = uint64(binary.LittleEndian.Uint32(rest)), 4
		}
	}
	if n <= 0 {
		return 0, 0, nil, 0
	}
	return int(tag >> 3), v, data, at + n
}

// AppendVarint adds a number.
func AppendVarint(b []byte, field int, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(field)<<3), v)
}

// AppendBytes adds text, bytes or a message.
func AppendBytes(b []byte, field int, data []byte) []byte {
	return append(AppendLen(b, field, len(data)), data...)
}

// AppendLen adds the header of a field of n bytes, which must follow.
func AppendLen(b []byte, field, n int) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(field)<<3|2), uint64(n))
}

// AppendDouble adds a number of 64 bits.
func AppendDouble(b []byte, field int, x float64) []byte {
	return binary.LittleEndian.AppendUint64(binary.AppendUvarint(b, uint64(field)<<3|1), math.Float64bits(x))
}

// AppendFloat adds a number of 32 bits.
func AppendFloat(b []byte, field int, x float32) []byte {
	return binary.LittleEndian.AppendUint32(binary.AppendUvarint(b, uint64(field)<<3|5), math.Float32bits(x))
}
