package train

import (
	"os"
	"path/filepath"
	"testing"

	"usher/features/classifier/corpus"
	"usher/features/classifier/eval"
)

// shared finds the directory of public data beside the repository, or skips.
func shared(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("USHER_SHARED"); dir != "" {
		return dir
	}
	for dir := ".."; len(dir) < 60; dir = filepath.Join(dir, "..") {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
			continue
		}
		found := filepath.Join(dir, "..", "shared")
		if _, err := os.Stat(filepath.Join(found, "data", "classification")); err == nil {
			return found
		}
		break
	}
	t.Skip("no shared data beside the repository; set USHER_SHARED")
	return ""
}

// TestBanking77 holds a short form of the recipe to a known set: 77 labels, the official test split.
// bench/classifier measures the whole recipe, which takes several times as long.
func TestBanking77(t *testing.T) {
	read := func(name string) []corpus.Row {
		t.Helper()
		rows, err := corpus.ReadFiles([]string{
			filepath.Join(shared(t), "data", "classification", "banking77", name)})
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	cfg := Default("banking77")
	cfg.Holdout, cfg.Rank, cfg.Members, cfg.Refit, cfg.Epochs = 0, productRank, 1, false, 8
	res, m := run(t, cfg, read("train.tsv.gz"))
	r, err := eval.Run(m, read("test.tsv.gz"), eval.Config{})
	if err != nil {
		t.Fatal(err)
	}
	auto := r.Bands[eval.Auto]
	t.Logf("accuracy %.4f, macro F1 %.4f, top 3 %.4f, ECE %.4f, auto %.4f at %.4f, T %v, %d bytes, %+v",
		r.Accuracy, r.MacroF1, r.Top3, r.ECE, auto.Coverage, *auto.Precision, m.Heads()[0].Temperature,
		len(res.File), res.Report.Kept)
	if r.N != 3080 || r.Accuracy < 0.91 || r.ECE > 0.03 {
		t.Errorf("n %d, accuracy %v, ECE %v", r.N, r.Accuracy, r.ECE)
	}
}
