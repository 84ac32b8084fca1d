// Package kind tells by its first bytes what a file is that was given for
// weights and holds none, so that one sentence can say so. It must not know how
// weights are read.
package kind

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// headSize is how much of a file is looked at, in bytes.
const headSize = 512

// Of are the formats of weights that a file may be in.
type Of string

// The formats.
const (
	Unknown     Of = ""
	Safetensors Of = "safetensors"
	GGUF        Of = "GGUF"
	Torch       Of = "torch"
)

// Head reads the first bytes of a regular file; nil of anything else.
func Head(path string) []byte {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	head := make([]byte, headSize)
	n, _ := io.ReadFull(f, head)
	return head[:n]
}

// Weights is the format of weights that first bytes show. Unknown says nothing:
// MindSpore's has no mark.
func Weights(head []byte) Of {
	switch {
	case bytes.HasPrefix(head, []byte("GGUF")):
		return GGUF
	case len(head) > 8 && bytes.HasPrefix(bytes.TrimLeft(head[8:], " \t\r\n"), []byte("{")) && binary.LittleEndian.Uint64(head) <= 100_000_000:
		return Safetensors
	case bytes.HasPrefix(head, []byte("PK\x03\x04")) || bytes.HasPrefix(head, []byte("\x80\x02\x8a\x0a\x6c\xfc")):
		return Torch
	}
	return Unknown
}

// suffixes are those of each format.
var suffixes = map[Of][]string{Safetensors: {".safetensors"}, GGUF: {".gguf"}, Torch: {".pt", ".pth", ".bin"}}

// magic are other kinds of file, by how they begin.
var magic = []struct{ begin, is, help string }{
	{"%PDF", "a PDF document", "give the weights themselves"},
	{"\x1f\x8b", "compressed by gzip", "unpack it first: gunzip, or tar -xzf for an archive"},
	{"BZh", "compressed by bzip2", "unpack it first: bunzip2"},
	{"\xfd7zXZ", "compressed by xz", "unpack it first: xz -d"},
	{"\x28\xb5\x2f\xfd", "compressed by zstd", "unpack it first: zstd -d"},
	{"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"},
	{"Rar!", "a RAR archive", "unpack it first"},
	{"\x7fELF", "a program", "give the weights themselves"},
	{"PAR1", "a parquet file, which holds data", "give it as --train_dataset_dir, and the weights here"},
	{"\x89HDF", "an HDF5 file", "save the model as safetensors with the library that wrote it"},
	{"\x93NUMPY", "a NumPy array", "save the model as safetensors with the library that wrote it"},
	{"\x89PNG", "a picture", "give the weights themselves"},
	{"\xff\xd8\xff", "a picture", "give the weights themselves"},
	{"GIF8", "a picture", "give the weights themselves"},
}

// texts are kinds of file that are told by their name and hold text.
var texts = map[string]string{
	".yaml": "a config in YAML", ".yml": "a config in YAML", ".json": "a JSON file", ".jsonl": "rows of data", ".ndjson": "rows of data", ".csv": "rows of data",
	".txt": "a text", ".md": "a text", ".py": "a Python program", ".xml": "an XML file", ".sh": "a shell script", ".toml": "a config", ".ini": "a config", ".log": "a log",
}

var lfsSize = regexp.MustCompile(`(?m)^size (\d+)$`)

// Placeholder says that a file is what a download left in the place of weights;
// nil for a file that may be weights.
func Placeholder(path string) error {
	head := Head(path)
	if head == nil {
		return nil
	}
	if len(head) == 0 {
		return fmt.Errorf("%s is empty\n  = help: download or write it again", path)
	}
	start := strings.ToLower(string(bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")))
	switch {
	case strings.HasPrefix(start, "version https://git-lfs"):
		size := ""
		if m := lfsSize.FindSubmatch(head); m != nil {
			size = " of " + string(m[1]) + " bytes"
		}
		return not(path, "a Git LFS pointer to a file"+size, "fetch the file itself: git lfs install, then git lfs pull in the repository")
	case strings.HasPrefix(start, "<!doctype") || strings.HasPrefix(start, "<html") || strings.HasPrefix(start, "<head"):
		return not(path, "an HTML page", "the download got a web page, perhaps because it needs a login or another address; download the file again")
	case strings.HasPrefix(start, "<?xml"):
		return not(path, "an XML text, perhaps an error of the server", "download the file again")
	}
	return nil
}

func not(path, is, help string) error {
	return fmt.Errorf("%s is %s, not weights\n  = help: %s", path, is, help)
}

// Refuse says why a file cannot be weights, in one sentence with the way out;
// nil for a file that may be.
func Refuse(path string) error {
	head := Head(path)
	if head == nil {
		return nil
	}
	if err := Placeholder(path); err != nil {
		return err
	}
	say := func(is, help string) error { return not(path, is, help) }
	start := strings.ToLower(string(bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")))
	name := strings.ToLower(filepath.Base(path))
	ext := filepath.Ext(name)
	switch {
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return say("a tar archive", "unpack it first: tar -xf")
	case strings.HasPrefix(name, "tokenizer.") || ext == ".model" || strings.HasPrefix(name, "spiece"):
		return say("a tokenizer", "give it as --tokenizer, and the weights here")
	case ext == ".mindrecord":
		return say("MindRecord data", "give it as --train_dataset_dir, and the weights here")
	case strings.HasSuffix(name, ".index.json"):
		return nil
	}
	for _, m := range magic {
		if bytes.HasPrefix(head, []byte(m.begin)) {
			return say(m.is, m.help)
		}
	}
	if ext == ".zip" {
		return say("a zip archive", "unpack it first: unzip")
	}
	if name == "optimizer.pt" || name == "optimizer.bin" || name == "scheduler.pt" || strings.HasPrefix(name, "rng_state") || name == "training_args.bin" {
		return say("the state of a training, by its name", "give the model of that training")
	}
	if is := texts[ext]; is != "" {
		return say(is, "give a Hugging Face directory, a .safetensors, .ckpt or .gguf file")
	}
	if (strings.HasPrefix(start, "{") || strings.HasPrefix(start, "[")) && plain(head) {
		return say("a JSON text", "the download may have got an error of the server; download the file again")
	}
	if plain(head) {
		return say("a text", "download or write the file again")
	}
	return mismatch(path, ext, Weights(head))
}

// mismatch refuses weights of one format under the name of another.
func mismatch(path, ext string, is Of) error {
	if is == Unknown {
		return nil
	}
	for _, s := range suffixes[is] {
		if ext == s {
			return nil
		}
	}
	for _, list := range suffixes {
		for _, s := range list {
			if ext == s {
				return renameTo(path, is)
			}
		}
	}
	if ext == ".ckpt" {
		return renameTo(path, is)
	}
	return nil
}

func renameTo(path string, is Of) error {
	of := map[Of]string{Safetensors: "safetensors", GGUF: "GGUF", Torch: "torch.save (or a zip archive)"}[is]
	return fmt.Errorf("%s is a file of %s by its content, not what its name says\n  = help: rename it to end in %s", path, of, suffixes[is][0])
}

// plain reports whether bytes are text: no file of weights begins with so much of it.
func plain(head []byte) bool {
	if len(head) < 64 {
		return false // too little to tell
	}
	for _, c := range head {
		if c < 9 || c > 13 && c < 32 || c == 127 {
			return false
		}
	}
	return true
}
