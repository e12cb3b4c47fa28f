package redact

import (
	"bytes"
	"testing"
)

func newRedactor(t testing.TB, cfg Config) *Redactor {
	t.Helper()
	r, err := New([]byte("a key for tests, no secret"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// checkTexts masks each text and compares; an empty want means that nothing is masked. Masking
// again changes nothing.
func checkTexts(t *testing.T, cases [][2]string) {
	t.Helper()
	r := newRedactor(t, Config{})
	for _, c := range cases {
		in, want := c[0], c[1]
		if want == "" {
			want = in
		}
		got := r.Text([]byte("before "), []byte(in))
		if string(got) != "before "+want {
			t.Errorf("Text(%q)\n  got  %q\n  want %q", in, got[7:], want)
		}
		if again := r.Text(nil, got); !bytes.Equal(again, got) {
			t.Errorf("Text twice of %q\n  got  %q\n  want %q", in, again, got)
		}
	}
}

func TestTextMasks(t *testing.T) {
	checkTexts(t, [][2]string{
		{"4111111111111111-29123456", "<card>-<phone>"},
		{"+371 29123456 10:30", "<phone> 10:30"},
		{"+639123456704", "<phone>"},
		{"+37129123. 4 people", "<phone>. 4 people"},
		{"29123456 рабочий номер", "<phone> рабочий номер"},
		{"450 0840", "<phone>"},
		{"+100000000. 5100000000000008", "<phone>. <card>"},
		{"29123456 / 29123457, 29123456 - 29123457", "<phone> / <phone>, <phone> - <phone>"},
		{"29123456", "<phone>"},
		{"a@b.lv", "<email>"},
		{"write to anna.berzina+crm@salon-lv.co.uk, please", "write to <email>, please"},
		{"<mailto:a@b.lv>.", "<mailto:<email>>."},
		{"*bob@example.com* or 'eve@example.org'", "*<email>* or '<email>'"},
		{"пишите на ivan@почта.рф или иван@почта.рф.", "пишите на <email> или <email>."},
		{"我的邮箱是test@example.com谢谢", "我的邮箱是<email>谢谢"},
		{"37129123456@s.whatsapp.net", "<email>"},
		{"a@b.lv@c.lv a@b.lv,c@d.lv", "<email>@c.lv <email>,<email>"},
		{"call +371 29 123 456", "call <phone>"},
		{"+37129123456", "<phone>"},
		{"+1 (905) 674-3793!", "<phone>!"},
		{"tel+37129123456", "tel<phone>"},
		{"тел. 8 (916) 123-45-67, звоните", "тел. <phone>, звоните"},
		{"мой номер 89161234567", "мой номер <phone>"},
		{"тел:89161234567", "тел:<phone>"},
		{"电话13812345678谢谢", "电话<phone>谢谢"},
		{"zadzwoń 501 234 567 po 15", "zadzwoń <phone> po 15"},
		{"zvaniet 29123456 pēc 10:30", "zvaniet <phone> pēc 10:30"},
		{"29123456 02.11.2026 10:30", "<phone> 02.11.2026 10:30"},
		{"00371 29123456", "<phone>"},
		{"905-674-3793 or 905.674.3793", "<phone> or <phone>"},
		{"(64) 3591-3246", "<phone>"},
		{"(905) 674-3793", "<phone>"},
		{"030/1234567", "<phone>"},
		{"01.84.17.61.18", "<phone>"},
		{"71-33-52-22, 450 0840, 9472 7916", "<phone>, <phone>, <phone>"},
		{"8\u00a0800\u00a0555\u00a035\u00a035", "<phone>"},
		{"905\u2011674\u20113793", "<phone>"},
		{"card 4111 1111 1111 1111 exp 12/27", "card <card> exp 12/27"},
		{"4111-1111-1111-1111", "<card>"},
		{"4111111111111111", "<card>"},
		{"visa4111111111111111 4111.1111.1111.1111", "visa<card> <card>"},
		{"card:4111111111111111,12/27", "card:<card>,12/27"},
		{"3782 822463 10005", "<card>"},
		{"4111 1111 1111 1111 5500 0000 0000 0004", "<card> <card>"},
		{"IBAN GB29 NWBK 6016 1331 9268 19 thanks", "IBAN <iban> thanks"},
		{"LV80BANK0000435195001", "<iban>"},
		{"gb29nwbk60161331926819.", "<iban>."},
		{"bob@example.com, +37129123456, 4111111111111111", "<email>, <phone>, <card>"},
	})
}

func TestTextKeeps(t *testing.T) {
	checkTexts(t, [][2]string{
		{"", ""},
		{"How much is a haircut on 02.11.2026 at 10:30?", ""},
		{"2026-11-02 10:30:00", ""},
		{"02-11-2026 1030", ""},
		{"netstat 1.42 (2001-04-15)", ""},
		{"xmms 1.2.10+20070601-1", ""},
		{"[4337152.565000] hda2", ""},
		{"- 68.1 - 78.0.1 - 98.0.1 - 102.0.1 - 102.7", ""},
		{"140FF697110070201F00D93F", ""},
		{"1234 0000 people", ""},
		{"2026-11-02 1030", ""},
		{"1234567812345670 passes the check of cards", ""},
		{"LV81BANK0000435195001", ""},
		{"2026-11-02T10:30:00Z", ""},
		{"from 02.11.2026 to 05.11.2026", ""},
		{"02/11/2026 - 05/11/2026", ""},
		{"20261102", ""},
		{"1793613600 1793613600000", ""},
		{"it costs 12345678 EUR", ""},
		{"EUR 12345678", ""},
		{"€ 1 234 567, $12345678", ""},
		{"1 234 567 people", ""},
		{"120 000 000 people", ""},
		{"цена 25000000 руб.", ""},
		{"1.234.567,89", ""},
		{"12345678.90 or 12345678,90", ""},
		{"0.12345678", ""},
		{"order 29123456", ""},
		{"Suite 541 6343 Main Street", ""},
		{"Order: #29123456", ""},
		{"order no. 29123456", ""},
		{"заказ № 29123456", ""},
		{"номер заказа 29123456", ""},
		{"заказ: 89161234", ""},
		{"订单29123456", ""},
		{"#29123456 and №29123456", ""},
		{"AB-29123456, A29123456, 29123456B", ""},
		{"https://example.com/t/29123456?id=29123456", ""},
		{"192.168.100.1", ""},
		{"550e8400-e29b-41d4-a716-446655440000", ""},
		{"114-3941689-8722654", ""},
		{"978-3-16-148410-0", ""},
		{"2019 2020 2021", ""},
		{"2000-2026", ""},
		{"12345-6789", ""},
		{"3610-114", ""},
		{"10:30 11:45 12:15 13:00", ""},
		{"1234567", ""},
		{"4111111111111112 is no card", ""},
		{"1234567890123456789012", ""},
		{"a @ b, @name, name@, @@, user@localhost, 3@4", ""},
		{"1, 2, 3, 4, 5, 6, 7, 8", ""},
		{"v1.2.3.4 and 26.7.2.1 build 9", ""},
	})
}
