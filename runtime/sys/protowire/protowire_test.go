package protowire

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"testing"
)

// Examples of the encoding guide: field 1 with 150 is 08 96 01, field 2 with
// "testing" is 12 07 then the text.
func TestAppend(t *testing.T) {
	b := AppendVarint(nil, 1, 150)
	b = AppendBytes(b, 2, []byte("testing"))
	if want := "\x08\x96\x01\x12\x07testing"; string(b) != want {
		t.Errorf("%q, want %q", b, want)
	}
	if got := AppendLen(nil, 16, 300); string(got) != "\x82\x01\xac\x02" {
		t.Errorf("%q", got)
	}
}

// Every wire type is read: varint, 64 bit, bytes, 32 bit.
func TestEach(t *testing.T) {
	b := AppendVarint(nil, 1, math.MaxUint64)
	b = append(b, 2<<3|1, 1, 2, 3, 4, 5, 6, 7, 8)
	b = AppendBytes(b, 536870911, []byte("x"))
	b = append(b, 4<<3|5, 0xFF, 0, 0, 0x80)
	b = AppendBytes(b, 5, nil)
	var got []string
	err := Each(b, func(field int, v uint64, data []byte) error {
		got = append(got, fmt.Sprintf("%d:%x:%s", field, v, data))
		return nil
	})
	want := "[1:ffffffffffffffff: 2:807060504030201: 536870911:0:x 4:800000ff: 5:0:]"
	if err != nil || fmt.Sprint(got) != want {
		t.Errorf("%v, %v, want %s", got, err, want)
	}
	stop := errors.New("stop")
	if err := Each(b, func(int, uint64, []byte) error { return stop }); err != stop {
		t.Errorf("the error of visit becomes %v", err)
	}
}

// Bytes that are no message are refused, whatever lengths they claim; what is
// read never reaches beyond its field.
func TestHostile(t *testing.T) {
	for name, b := range map[string]string{
		"field 0": "\x00\x01", "field 2^29": "\x80\x80\x80\x80\x10\x01", "no value": "\x08", "a varint without end": "\x08\x80",
		"a varint of 11 bytes": "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "7 of 8 bytes": "\x09\x01\x02\x03\x04\x05\x06\x07",
		"3 of 4 bytes": "\x0d\x01\x02\x03", "text longer than the rest": "\x0a\x02x", "a length of 2^63": "\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01x",
		"no length": "\x0a", "a group": "\x0b", "wire type 6": "\x0e\x01", "wire type 7": "\x0f\x01",
	} {
		if err := Each([]byte(b), func(int, uint64, []byte) error { return nil }); !errors.Is(err, ErrCut) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, _, data, size := Field(append(AppendBytes(nil, 1, []byte("ab")), "tail"...))
	if size != 4 || cap(data) != 2 || !bytes.Equal(data, []byte("ab")) {
		t.Errorf("%q of capacity %d, %d bytes", data, cap(data), size)
	}
}

func FuzzEach(f *testing.F) {
	f.Add([]byte("\x08\x96\x01\x12\x07testing"))
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		Each(b, func(_ int, _ uint64, data []byte) error { total += len(data); return nil })
		if total > len(b) {
			t.Errorf("%d bytes of values in a message of %d", total, len(b))
		}
	})
}
