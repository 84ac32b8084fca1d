package report

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const lines = `{"step":0,"eval_loss":2.5}
{"step":0,"samples":[{"prompt":"ask <me>","text":"no idea"}]}
{"step":1,"loss":2.25,"lr":0,"grad_norm":1,"tokens":100,"tokens_per_second":50,"elapsed":3}
{"step":2,"loss":null,"lr":0.1,"grad_norm":null,"tokens":100,"loss_scale":1e999,"overflow":true,"nonfinite":["loss","grad_norm"],"tokens_per_second":100,"elapsed":4}
{"step":2,"eval_loss":1.5}
{"step":2,"stopped":"SIGTERM","elapsed":4}
{"step":3,"loss":1.25,"lr":0.1,"grad_norm":2,"tokens":100,"tokens_per_second":100,"elapsed":2}
{"step":3,"eval_loss":1.75}
{"step":3,"samples":[{"prompt":"ask <me>","text":"an answer"}]}
{"step":3,"stopped":"early_stopping","elapsed":2}
`

func written(t *testing.T, text string) *Metrics {
	t.Helper()
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	m, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// What a run came to, over two processes, of which the first was stopped; a line that is
// being written is left out.
func TestResult(t *testing.T) {
	got := fmt.Sprint(written(t, lines+`{"step":4,"lo`).Result())
	want := "[[steps 3, 6.0 s] [skipped 1 step, whose gradients were not finite] [tokens 300, 75 a second] [training loss 2.2500 to 1.2500]" +
		" [evaluation loss 2.5000 (step 0) to 1.7500 (step 3)] [best evaluation 1.5000 after step 2] [stopped by early_stopping]]"
	if got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// What is no file of metrics is named, with the line.
func TestReadWrong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	if err := os.WriteFile(path, []byte(lines+"words\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "metrics.jsonl:11 is no line of metrics") {
		t.Error(err)
	}
}

// The page is whole and refers to nothing outside; the curve is XML.
func TestPage(t *testing.T) {
	dir := t.TempDir()
	if err := written(t, lines).Write(dir, "a<b", []Table{{"Config", [][2]string{{"x", "<script>"}}}, {Title: "empty"}}); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"<h1>a&lt;b</h1>", "&lt;script&gt;", "best evaluation", ">loss</text>", ">learning rate</text>", ">gradient norm</text>", ">tokens a second</text>", "step 2: 1.5", "<td>ask &lt;me&gt;</td><td>no idea</td><td>an answer</td>"} {
		if !strings.Contains(string(page), words) {
			t.Errorf("%q is not in\n%s", words, page)
		}
	}
	for _, words := range []string{"NaN", "Inf", "src=", "href=", "<script", "empty"} {
		if strings.Contains(string(page), words) {
			t.Errorf("%q is in the page", words)
		}
	}
	svg, err := os.Open(filepath.Join(dir, "loss.svg"))
	if err != nil {
		t.Fatal(err)
	}
	defer svg.Close()
	for d := xml.NewDecoder(svg); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// A long run has a page of bounded size that shows its peaks; one number has a chart.
func TestChart(t *testing.T) {
	var l Line
	for i := range 100000 {
		l.X, l.Y = append(l.X, i), append(l.Y, float64(i%7))
	}
	l.Y[54321] = 1000
	x, y := thin(l.X, l.Y)
	high := 0.0
	for _, v := range y {
		high = max(high, v)
	}
	if len(x) > most || high != 1000 {
		t.Errorf("%d points, the highest is %v", len(x), high)
	}
	if Chart("x", Line{}) != "" || !strings.Contains(Chart("x", Line{X: []int{5}, Y: []float64{0}}), "<circle") {
		t.Error("the chart of nothing or of one point")
	}
	if got := fmt.Sprint(ticks(0.1, 2.3, 5)); got != "[0.5 1 1.5 2]" {
		t.Error(got)
	}
}
