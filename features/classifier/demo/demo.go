// Package demo is the model inside the binary: deal, request and claim in English, Russian, Polish,
// Latvian and Chinese, learned from the sentences under features/classifier/train/data. It shows
// what usher does; for work, train a model on your own messages. Its card says how good it is.
//
// To make it anew after the sentences or the recipe have changed:
//
//	go test ./features/classifier/demo -run TestModelIsReproducible -rewrite
package demo

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"usher/features/classifier"
	"usher/features/classifier/eval"
)

//go:embed intent-demo.usher
var file []byte

// Bytes is the model file. Do not change it.
func Bytes() []byte { return file }

// Model loads the model.
func Model() (*classifier.Model, error) { return classifier.FromBytes(file) }

// Card is what the model file says for people: what it is for and how good it is, measured.
type Card struct {
	About   string            `json:"about"`
	Labels  map[string]string `json:"labels"`
	Limits  string            `json:"limits"`
	HeldOut Measured          `json:"held_out"` // own sentences, never trained on
	// ByLang are the same sentences by language.
	ByLang map[string]Measured `json:"by_lang"`
	// Foreign are public English sets of other businesses, by file, never trained on; rows labelled
	// ambiguous are left out.
	Foreign map[string]Measured `json:"foreign"`
	// Moods are the heads sentiment and urgency on messages drawn from public sets.
	Moods map[string]Mood `json:"moods"`
	// Languages is the head lang on the same messages: right ones of those that it was sure of.
	Languages Share `json:"languages"`
	// Unproven are the languages in which sentiment and urgency were measured on nothing.
	Unproven []string `json:"unproven"`
}

// Mood is how well a head does beside the majority class and a plain lexicon, on the messages that
// were labelled alike twice.
type Mood struct {
	About      string             `json:"about"`
	N          int                `json:"n"`     // drawn and labelled twice
	Alike      int                `json:"alike"` // with the same label both times
	Kappa      float64            `json:"kappa"`
	Labels     map[string]int     `json:"labels"` // of those alike
	Head       Judged             `json:"head"`
	Majority   Judged             `json:"majority"`
	Lexicon    Judged             `json:"lexicon"`
	HeadByLang map[string]Judged  `json:"head_by_lang"`
	Raises     map[string]float64 `json:"raises"` // what raises the priority: precision, recall, n
}

// Judged is a judge's share of right answers, and the mean F1 over the labels that occur.
type Judged struct {
	N        int     `json:"n"`
	Accuracy float64 `json:"accuracy"`
	MacroF1  float64 `json:"macro_f1"`
}

// Share is right of n.
type Share struct {
	N     int `json:"n"`
	Right int `json:"right"`
}

// Measured is the quality on one set; auto is the band that would act alone.
type Measured struct {
	N             int     `json:"n"`
	Accuracy      float64 `json:"accuracy"`
	MacroF1       float64 `json:"macro_f1"`
	ECE           float64 `json:"ece"`
	AutoCoverage  float64 `json:"auto_coverage"`
	AutoPrecision float64 `json:"auto_precision"`
	AutoLow       float64 `json:"auto_low"` // Wilson 95 % bounds of the precision
	AutoHigh      float64 `json:"auto_high"`
}

// MeasuredFrom takes the card's figures from an evaluation.
func MeasuredFrom(r *eval.Report) Measured {
	auto := r.Bands[eval.Auto]
	m := Measured{N: r.N, Accuracy: r.Accuracy, MacroF1: r.MacroF1, ECE: r.ECE,
		AutoCoverage: auto.Coverage}
	if auto.Precision != nil {
		m.AutoPrecision, m.AutoLow, m.AutoHigh = *auto.Precision, *auto.Low, *auto.High
	}
	return m
}

// ReadCard reads the card of the model in the binary.
func ReadCard() (Card, error) {
	m, err := Model()
	if err != nil {
		return Card{}, err
	}
	var c Card
	if err := json.Unmarshal(m.Card(), &c); err != nil {
		return Card{}, fmt.Errorf("cannot read the model card: %w", err)
	}
	return c, nil
}
