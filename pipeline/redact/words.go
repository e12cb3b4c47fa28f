package redact

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// Words after which a number without '+' is no telephone number, in the languages that usher ships
// models for; compared without case.
var otherNumbers = [...]string{
	"order", "order no", "order number", "order id", "ticket", "invoice", "booking", "reference",
	"ref", "tracking", "tracking number", "parcel", "case", "article", "sku", "isbn", "version",
	"apt", "apartment", "suite", "room", "кв", "квартира", "mieszkania", "dzīvoklis",
	"заказ", "заказа", "заказу", "номер заказа", "счёт", "счет", "артикул", "трек", "накладная",
	"zamówienie", "zamówienia", "faktura", "paczka", "paczki",
	"pasūtījums", "pasūtījuma", "pasūtījumu", "rēķins", "rēķina", "sūtījuma",
	"订单", "订单号", "单号", "发票",
}

// Words beside which a number is an amount.
var currencies = [...]string{
	"eur", "usd", "gbp", "pln", "rub", "czk", "euro", "euros", "dollars", "zł", "zl", "zlotych",
	"руб", "рублей", "рубля", "р", "евро", "долларов", "тыс", "eiro", "kr", "kč", "元", "块", "人民币",
	"pcs", "шт", "gb", "mb", "kg", "кг", "km", "км", "ms",
}

// wordBefore reports whether one of words ends right before src[i], but for spaces, ':' and '.'.
func wordBefore(src []byte, i int, words []string) bool {
	for i > 0 && bytes.IndexByte([]byte(" :."), src[i-1]) >= 0 {
		i--
	}
	for _, w := range words {
		if i < len(w) || !foldEqual(src[i-len(w):i], w) {
			continue
		}
		before, _ := utf8.DecodeLastRune(src[:i-len(w)])
		if unspaced(w) || i == len(w) || !isWord(before) {
			return true
		}
	}
	return false
}

// wordAfter reports whether src begins with one of words.
func wordAfter(src []byte, words []string) bool {
	for _, w := range words {
		if len(src) < len(w) || !foldEqual(src[:len(w)], w) {
			continue
		}
		after, _ := utf8.DecodeRune(src[len(w):])
		if unspaced(w) || len(src) == len(w) || !isWord(after) {
			return true
		}
	}
	return false
}

// unspaced reports a word of a script that puts no spaces between words (three-byte UTF-8 from
// U+3000 on).
func unspaced(w string) bool { return w[0] >= 0xe3 }

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// foldEqual compares without case; w is in lower case and of the same length.
func foldEqual(s []byte, w string) bool {
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			if lower(s[i]) != w[i] {
				return false
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(s[i:])
		want, m := utf8.DecodeRuneInString(w[i:])
		if n != m || unicode.ToLower(r) != want {
			return false
		}
		i += n
	}
	return true
}

func lower(c byte) byte {
	if c-'A' < 26 {
		return c | 0x20
	}
	return c
}
