package dataset

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"slices"
	"unsafe"
)

// Digest tells whether another set has the same rows in the same order, and which
// row is the first that differs. A row is one of a batch: packed rows are one. Of
// more than maxSums rows, some in succession share a sum.
type Digest struct {
	Rows  int // of the set
	Block int // rows of a sum
	Sums  []uint32
}

// maxSums bounds a digest: 512 KiB.
const maxSums = 1 << 17

var table = crc32.MakeTable(crc32.Castagnoli)

// DigestBytes is what the digest takes while a checkpoint is written: its sums, and
// their text in the checkpoint's header, as it grows.
func (s *Set) DigestBytes() int { return 48 * min(s.Groups(), maxSums) }

// Digest sums up the rows, block of them each; 0 chooses.
func (s *Set) Digest(block int) Digest {
	n := s.Groups()
	if block < 1 {
		block = max((n+maxSums-1)/maxSums, 1)
	}
	d := Digest{Rows: n, Block: block}
	for from := 0; from < n; from += block {
		sum := uint32(0)
		for i := from; i < min(from+block, n); i++ {
			first, end := s.Group(i)
			for j := first; j < end; j++ {
				r := s.Row(j)
				sum = crc32.Update(sum, table, bytesOf([]int32{int32(len(r.Tokens))}))
				sum = crc32.Update(sum, table, bytesOf(r.Tokens))
				sum = crc32.Update(sum, table, bytesOf(r.Labels))
			}
		}
		d.Sums = append(d.Sums, sum)
	}
	return d
}

// Difference says how the rows of a set differ from those that a digest was made
// of; it is "" where they do not.
func (s *Set) Difference(was Digest) string {
	is := s.Digest(was.Block)
	if was.Rows == is.Rows && slices.Equal(was.Sums, is.Sums) {
		return ""
	}
	n := min(len(was.Sums), len(is.Sums))
	at := 0
	for at < n && was.Sums[at] == is.Sums[at] {
		at++
	}
	counts := fmt.Sprintf("%d in the checkpoint, %d now", was.Rows, is.Rows)
	if at == n {
		return fmt.Sprintf("%s; the first %d are the same", counts, min(was.Rows, is.Rows))
	}
	from, to := at*was.Block, min((at+1)*was.Block, is.Rows)-1
	first, _ := s.Group(from)
	file, row := s.Source(first)
	which := fmt.Sprintf("row %d (row %d of %s)", from+1, row, file)
	if to > from {
		which = fmt.Sprintf("one of the rows %d to %d (from row %d of %s)", from+1, to+1, row, file)
	}
	text := fmt.Sprintf("%s is the first that differs: digest %08x in the checkpoint, %08x now", which, was.Sums[at], is.Sums[at])
	if was.Rows != is.Rows {
		return counts + "; " + text
	}
	if was.Block == 1 && slices.Equal(slices.Sorted(slices.Values(was.Sums)), slices.Sorted(slices.Values(is.Sums))) {
		return fmt.Sprintf("the same %d in another order; %s", is.Rows, text)
	}
	return text
}

// MarshalJSON writes the sums as base64, since there may be many.
func (d Digest) MarshalJSON() ([]byte, error) {
	var b []byte
	for _, s := range d.Sums {
		b = binary.LittleEndian.AppendUint32(b, s)
	}
	return json.Marshal(map[string]any{"rows": d.Rows, "block": d.Block, "crc32c": base64.StdEncoding.EncodeToString(b)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (d *Digest) UnmarshalJSON(text []byte) error {
	var x struct {
		Rows, Block int
		Crc32c      []byte
	}
	if err := json.Unmarshal(text, &x); err != nil {
		return err
	}
	if x.Block < 1 || x.Rows < 0 || len(x.Crc32c)%4 != 0 || (x.Rows+x.Block-1)/x.Block != len(x.Crc32c)/4 {
		return fmt.Errorf("a digest of %d rows, %d to a sum, has %d bytes", x.Rows, x.Block, len(x.Crc32c))
	}
	*d = Digest{Rows: x.Rows, Block: x.Block}
	for i := 0; i < len(x.Crc32c); i += 4 {
		d.Sums = append(d.Sums, binary.LittleEndian.Uint32(x.Crc32c[i:]))
	}
	return nil
}

// bytesOf is ids as they are in memory: little-endian on every processor supported.
func bytesOf(x []int32) []byte {
	if len(x) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 4*len(x))
}
