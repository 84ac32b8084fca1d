package rt

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"lorac/kernels"
	"lorac/runtime/data/dataset"
	"lorac/runtime/data/tokenizer"
	"lorac/runtime/exit"
	"lorac/runtime/sys/disk"
	"lorac/runtime/sys/mmap"
	"lorac/runtime/sys/version"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
)

// identity is what a checkpoint knows of its run beside the numbers: all that
// the result depends on, so that a run that resumes can be compared with it fact by
// fact (resume_compare.go).
type identity struct {
	Lorac     string                `json:"lorac"` // release and commit
	Graph     string                `json:"graph"` // ir.Module.Identity
	Same      map[string]string     `json:"same"`  // keys of the config that must be the same
	Free      map[string]string     `json:"free"`  // keys that may change
	Base      map[string]*tensorSum `json:"base"`  // what does not train
	Tokenizer map[string]fileSum    `json:"tokenizer,omitempty"`
	Rows      dataset.Digest        `json:"rows"`
	Text      bool                  `json:"text"`            // the rows were texts: the tokenizer made them
	Units     string                `json:"units,omitempty"` // of the processor, which may change; "" for a device
	BaseFrom  string                `json:"base_from"`       // paths, which may change
	RowsFrom  string                `json:"rows_from"`
}

// tensorSum is the digest of a tensor. Sample covers some of its bytes, Whole all of
// them, where --verify_base asks for that.
type tensorSum struct {
	Type   string `json:"type"`
	Shape  []int  `json:"shape"`
	Sample string `json:"sample"`
	Whole  string `json:"whole,omitempty"`
}

type fileSum struct {
	Size   int    `json:"size"`
	Digest string `json:"sha256"`
}

// identify is that of this run.
func (c *checkpoints) identify() (*identity, error) {
	f := &identity{Lorac: version.String(), Graph: c.job.Hash, Same: map[string]string{}, Free: map[string]string{}, Tokenizer: c.tokenizer, Rows: c.rows.Digest(0)}
	for _, x := range c.job.Facts() {
		if x.Free {
			f.Free[x.Key] = x.Value
		} else {
			f.Same[x.Key] = x.Value
		}
	}
	if c.job.Device == "" {
		f.Units = kernels.Units()
	}
	f.Text = c.rows.Stats.Format != "tokens"
	f.BaseFrom, f.RowsFrom = c.job.LoadCheckpoint, c.job.TrainData.Path
	var err error
	f.Base, err = c.weights.sums(c.verify)
	return f, err
}

// text is the identity as checkpoints hold it.
func (f *identity) text() string {
	b, err := json.Marshal(f)
	if err != nil {
		panic("BUG: an identity is no JSON: " + err.Error())
	}
	return string(b)
}

// parseIdentity reads what text wrote.
func parseIdentity(text string) (*identity, error) {
	f := &identity{}
	if err := json.Unmarshal([]byte(text), f); err != nil {
		return nil, fmt.Errorf("what it knows of its run cannot be read: %w", err)
	}
	return f, nil
}

// sampleBytes and sampled are the size of a piece of a sample and how many there are,
// the first and the last bytes among them.
const sampleBytes, sampled = 4096, 16

// sums are the digests of the tensors that do not train, by name: what trains is in
// the checkpoint. whole reads all bytes of them.
func (l *Loader) sums(whole bool) (map[string]*tensorSum, error) {
	out := map[string]*tensorSum{}
	for _, b := range l.base {
		s := &tensorSum{Type: b.w.DType.String(), Shape: b.shape}
		out[b.name] = s
		data := b.w.Stored()
		var from io.ReaderAt = bytesAt(data)
		if r := mmap.Reader(data); r != nil { // past the mapping, which would take memory
			from = r
		}
		n, step := len(data), 0
		if n > sampleBytes*sampled {
			step = (n - sampleBytes) / (sampled - 1)
		}
		sum, piece := sha256.New(), make([]byte, sampleBytes)
		var err error
		if step == 0 {
			_, err = io.Copy(sum, io.NewSectionReader(from, 0, int64(n)))
		}
		for i := 0; step > 0 && i < sampled && err == nil; i++ {
			at := i * step
			if i == sampled-1 {
				at = n - sampleBytes
			}
			if _, err = from.ReadAt(piece, int64(at)); err == nil {
				sum.Write(piece)
			}
		}
		s.Sample = short(sum.Sum(nil))
		if whole && err == nil {
			sum.Reset()
			_, err = io.Copy(sum, io.NewSectionReader(from, 0, int64(n)))
			s.Whole = short(sum.Sum(nil))
		}
		if err != nil {
			return nil, exit.Inputf("cannot read %s of the base weights: %w", b.name, err)
		}
	}
	for _, s := range l.fixed {
		if naming.Started(s.Names[0]) { // a checkpoint has them
			continue
		}
		sum := sha256.Sum256(peft.Bytes(s.Data))
		out[s.Names[0]] = &tensorSum{Type: "F32", Shape: s.shape(), Sample: short(sum[:]), Whole: short(sum[:])}
	}
	return out, nil
}

func short(sum []byte) string { return hex.EncodeToString(sum[:8]) }

// bytesAt reads bytes in memory.
type bytesAt []byte

func (b bytesAt) ReadAt(p []byte, off int64) (int, error) {
	if n := copy(p, b[min(off, int64(len(b))):]); n < len(p) {
		return n, io.EOF
	}
	return len(p), nil
}

// besideTokenizer are the files that a tokenizer is read from, beside its own.
var besideTokenizer = []string{"tokenizer_config.json", "added_tokens.json", "special_tokens_map.json", "tokenizer.json"}

// tokenizerSums are the digests of the files of a tokenizer: its own is "vocabulary",
// since its name says nothing of it.
func tokenizerSums(path string) map[string]fileSum {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		for _, name := range []string{"tokenizer.model", "tokenizer.json"} {
			if disk.Exists(filepath.Join(path, name)) {
				path = filepath.Join(path, name)
				break
			}
		}
	}
	out := map[string]fileSum{}
	add := func(name, path string) {
		f, err := os.Open(path)
		if err != nil {
			return
		}
		defer f.Close()
		sum := sha256.New()
		if n, err := io.Copy(sum, f); err == nil {
			out[name] = fileSum{int(n), short(sum.Sum(nil))}
		}
	}
	add("vocabulary", path)
	for _, name := range besideTokenizer {
		if name == filepath.Base(path) {
			continue
		}
		add(name, filepath.Join(filepath.Dir(path), name))
	}
	return out
}

// vocabularySum is the digest of a tokenizer that is part of another file.
func vocabularySum(t *tokenizer.Tokenizer) map[string]fileSum {
	sum, n := sha256.New(), 0
	for id := range t.Size() {
		k, _ := fmt.Fprintf(sum, "%q\n", t.Token(int32(id)))
		n += k
	}
	fmt.Fprintln(sum, t.BOS(), t.EOS(), t.UNK(), t.PAD())
	return map[string]fileSum{"vocabulary": {n, short(sum.Sum(nil))}}
}
