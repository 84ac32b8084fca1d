package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"lorac/cmd/test/testkit"
)

// talkConfig is a model small enough to answer at once.
const talkConfig = `seed: 7
run_mode: finetune
trainer: {model_name: talk}
output_dir: out
runner_config: {epochs: 300, batch_size: 2, sink_mode: False}
optimizer: {type: AdamW, weight_decay: 0.0}
lr_schedule: {type: ConstantWarmUpLR, learning_rate: 1.e-2, warmup_steps: 0}
train_dataset: {drop_remainder: False, data_loader: {shuffle: False, prompt: tokenizer}}
model:
  arch: {type: LlamaForCausalLM}
  model_config:
    type: LlamaConfig
    seq_length: 256
    hidden_size: 32
    intermediate_size: 64
    num_layers: 2
    num_heads: 4
    vocab_size: 136
    max_decode_length: 160
    param_init_type: float32
    pet_config: {pet_type: lora, lora_rank: 8, lora_alpha: 16, lora_dropout: 0.0, target_modules: '.*w.*'}
`

const talkRows = `{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}]}
{"messages":[{"role":"system","content":"s"},{"role":"user","content":"hi"},{"role":"assistant","content":"hello"},{"role":"user","content":"you"},{"role":"assistant","content":"me"}]}
`

// talkTemplate is ChatML with a word of its own, so that it is told from the named one.
const talkTemplate = `{% for message in messages %}{{ '<|im_start|>' + message['role'] + ': ' + message['content'] + '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant: ' }}{% endif %}`

// talkBase makes a directory with a config, rows, and a base whose tokenizer has letters
// and a chat template.
func talkBase(t *testing.T) (dir string, lorac func(args ...string) string) {
	dir = t.TempDir()
	lorac = func(args ...string) string {
		t.Helper()
		cmd := selfCommand(t, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("lorac %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	var vocab []string
	for c := 32; c < 127; c++ {
		vocab = append(vocab, fmt.Sprintf("%q:%d", map[bool]string{true: "▁", false: string(rune(c))}[c == ' '], c))
	}
	for i, name := range []string{"<unk>", "<s>", "</s>"} {
		vocab = append(vocab, fmt.Sprintf("%q:%d", name, i))
	}
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	put("talk.yaml", talkConfig)
	put("rows.jsonl", talkRows)
	lorac("convert", "synthesize", "talk.yaml", "-o", "base", "--dtype", "f32")
	special := func(id int, name string) string {
		return fmt.Sprintf(`{"id":%d,"content":%q,"special":true,"single_word":false,"lstrip":false,"rstrip":false,"normalized":false}`, id, name)
	}
	put("base/tokenizer.json", `{"normalizer":{"type":"Replace","pattern":{"String":" "},"content":"▁"},"added_tokens":[`+
		special(0, "<unk>")+","+special(1, "<s>")+","+special(2, "</s>")+","+special(130, "<|im_start|>")+","+special(131, "<|im_end|>")+
		`],"model":{"type":"BPE","unk_token":"<unk>","vocab":{`+strings.Join(append(vocab, `"<|im_start|>":130`, `"<|im_end|>":131`), ",")+`},"merges":[]}}`)
	put("base/tokenizer_config.json", `{"bos_token":"<s>","eos_token":"</s>","add_bos_token":true}`)
	put("base/chat_template.jinja", talkTemplate)
	return dir, lorac
}

// A chat template from training to a talk: the trainer has it compiled in, the adapter
// and the merged model carry it, predict and chat use it.
func TestChatTemplateEndToEnd(t *testing.T) {
	testkit.Slow(t, "serve")
	dir, lorac := talkBase(t)
	said := lorac("finetune", "talk.yaml", "--load_checkpoint", "base", "--train_dataset_dir", "rows.jsonl", "--no_progress")
	for _, want := range []string{
		"⟨130 <|im_start|>⟩user: hi⟨131 <|im_end|>⟩⟨130 <|im_start|>⟩assistant: ⟦hello⟨131 <|im_end|>⟩⟧",
		"ends answers with <|im_end|>, id 131",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said in\n%s", want, said)
		}
	}
	template, err := os.ReadFile(filepath.Join(dir, "out/adapter/chat_template.jinja"))
	if err != nil || string(template) != talkTemplate {
		t.Errorf("the adapter's template is %q, %v", template, err)
	}
	said = lorac("finetune", "talk.yaml", "--run_mode", "predict", "--load_checkpoint", "base", "--load_adapter", "out/adapter", "--prompt", "tokenizer", "--predict_data", "hi", "--save_file=")
	if !strings.Contains(said, "user: hiassistant: hello\n") {
		t.Errorf("predict says\n%s", said)
	}
	texts := map[string]bool{}
	for _, prompt := range []string{"vicuna", "alpaca", "plain", "chatml", "llama2"} {
		texts[lastLines(lorac("finetune", "talk.yaml", "--run_mode", "predict", "--load_checkpoint", "base", "--prompt", prompt, "--predict_data", "hi", "--save_file=", "--max_new_tokens", "1"))] = true
	}
	if len(texts) != 5 {
		t.Errorf("five prompts give %d texts: %v", len(texts), texts)
	}
	lorac("convert", "merge", "--base", "base", "--adapter", "out/adapter", "-o", "merged")
	if template, err = os.ReadFile(filepath.Join(dir, "merged/chat_template.jinja")); err != nil || string(template) != talkTemplate {
		t.Errorf("the merged model's template is %q, %v", template, err)
	}

	cmd := selfCommand(t, "chat", "talk.yaml", "--load_checkpoint", "base", "--max_new_tokens", "12")
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader("hi\n/nonsense\n/compare\nyou\n/undo\n/system s\n/adapter\nhi\nyou\n/exit\n")
	var out, notes bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &notes
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, notes.String())
	}
	lines := strings.Split(out.String(), "\n")
	if len(lines) != 6 || lines[0] != "hello" || !strings.HasPrefix(lines[1], "[base] ") || !strings.HasPrefix(lines[2], "[adapter] ") || lines[1][7:] == lines[2][10:] || lines[3] != "hello" || lines[4] != "me" {
		t.Errorf("chat says %q\n%s", lines, notes.String())
	}
	if !strings.Contains(notes.String(), "/nonsense is no command") || !strings.Contains(notes.String(), "the adapter is out/adapter") {
		t.Errorf("%s", notes.String())
	}
}

// lastLines is what a run predicted, without the lines around it that differ each time.
func lastLines(said string) string {
	_, text, _ := strings.Cut(said, "questions are rendered by the prompt ")
	text, _, _ = strings.Cut(text, "1 text:")
	_, text, _ = strings.Cut(text, "\n")
	return text
}

// serving starts lorac serve and gives its address; end asks it to end and waits.
func serving(t *testing.T, dir string, args ...string) (address string, end func()) {
	cmd := selfCommand(t, append([]string{"serve", "talk.yaml", "--load_checkpoint", "base", "--port", "0"}, args...)...)
	cmd.Dir = dir
	notes, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(notes)
	var said strings.Builder
	for lines.Scan() && address == "" {
		said.WriteString(lines.Text() + "\n")
		if m := regexp.MustCompile(`at (http://127\.0\.0\.1:\d+)/v1`).FindStringSubmatch(lines.Text()); m != nil {
			address = m[1]
			break
		}
	}
	if address == "" {
		cmd.Wait()
		t.Fatalf("it does not serve:\n%s", said.String())
	}
	rest := make(chan struct{})
	go func() {
		for lines.Scan() {
			said.WriteString(lines.Text() + "\n")
		}
		close(rest)
	}()
	return address, func() {
		t.Helper()
		cmd.Process.Signal(syscall.SIGTERM)
		<-rest
		if err := cmd.Wait(); err != nil {
			t.Errorf("it ends with %v\n%s", err, said.String())
		}
	}
}

// The official OpenAI client talks to lorac serve.
func TestServeOpenAIClient(t *testing.T) {
	testkit.Slow(t, "serve")
	python := os.Getenv("LORAC_OPENAI_PYTHON")
	if python == "" {
		python = "python3"
	}
	if exec.Command(python, "-c", "import openai").Run() != nil {
		t.Skip("the client of OpenAI: it needs python3 and openai of PyPI (pip install openai; LORAC_OPENAI_PYTHON names the python that has it)")
	}
	dir, lorac := talkBase(t)
	lorac("finetune", "talk.yaml", "--load_checkpoint", "base", "--train_dataset_dir", "rows.jsonl", "--no_progress")
	address, end := serving(t, dir)
	defer end()
	script, err := filepath.Abs(root + "/testdata/peers/openai_client.py")
	if err != nil {
		t.Fatal(err)
	}
	out, err := testkit.Command(t, python, script, address+"/v1").CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "all is well") {
		t.Errorf("%v\n%s", err, out)
	}
}

// The page compares base and adapter in a browser.
func TestServePage(t *testing.T) {
	testkit.Slow(t, "serve")
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("the page of lorac serve: it needs chromium (Debian: chromium)")
	}
	dir, lorac := talkBase(t)
	lorac("finetune", "talk.yaml", "--load_checkpoint", "base", "--train_dataset_dir", "rows.jsonl", "--no_progress")
	address, end := serving(t, dir, "--max_new_tokens", "12")
	defer end()
	home, shot := t.TempDir(), filepath.Join(os.TempDir(), "lorac-serve.png")
	see := func(more ...string) string {
		cmd := testkit.Command(t, browser, append(append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--user-data-dir=" + home,
			"--window-size=1000,700", "--virtual-time-budget=60000"}, more...), address+"/#ask=hi")...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	dom := see("--dump-dom")
	answer := func(model string) string {
		m := regexp.MustCompile(`(?s)id="model-` + model + `".*?class="turn assistant">(.*?)</div>`).FindStringSubmatch(dom)
		if m == nil {
			t.Fatalf("no answer of %s in\n%s", model, dom)
		}
		return m[1]
	}
	if a, b := answer("talk"), answer("base"); a != "hello" || b == a || b == "" {
		t.Errorf("the adapter says %q, the base %q", a, b)
	}
	if !strings.Contains(dom, "tokens/s") {
		t.Errorf("no speed in\n%s", dom)
	}
	see("--screenshot=" + shot)
	if info, err := os.Stat(shot); err != nil || info.Size() < 1000 {
		t.Errorf("the screenshot: %v", err)
	}
	t.Logf("a screenshot is %s", shot)
}
