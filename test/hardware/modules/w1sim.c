// SPDX-License-Identifier: GPL-2.0
/*
 * w1sim: a fake 1-wire master with DS18B20s on it; the real w1/w1_therm stack sits on top.
 * insmod w1sim.ko n=2
 * /sys/kernel/debug/w1sim/t0   s32 temperature in 1/16 degC (write as u32)
 * /sys/kernel/debug/w1sim/present0  u8: 0 = unplugged
 * /sys/kernel/debug/w1sim/badcrc  u32: the next N scratchpad reads carry a wrong CRC
 * /sys/kernel/debug/w1sim/stuck   u8: 1 = the line is short to ground: every bit reads as 0, also the presence
 */
#include <linux/module.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/w1.h>

#define MAXD 8
static int n = 1; module_param(n, int, 0444);
static struct dev18 { u64 id; u32 t; u8 present; u8 sp[9]; } d[MAXD];
static u32 badcrc, resets;
static u8 stuck;
static struct dentry *dir;

/* bit-level state machine of the bus */
static enum { IDLE, ROM, MATCH, FUNC, READ_SP, WRITE_SP, READ_ONE, READ_ROM, SRCH } st;
static int bits; static u8 cur; static u64 match; static int rd_i; static int sel; /* -1 = all */
static u8 outbuf[9]; static int outn;
static int sb, sphase; static u32 alive; /* search */

static void load(struct dev18 *x)
{
	s16 t = (s16)(s32)x->t;
	x->sp[0] = t & 0xff; x->sp[1] = (t >> 8) & 0xff;
	x->sp[8] = w1_calc_crc8(x->sp, 8);
}
static struct dev18 *selected(void)
{
	int i;
	if (sel >= 0) return d[sel].present ? &d[sel] : NULL;
	for (i = 0; i < n; i++) if (d[i].present) return &d[i];
	return NULL;
}
static u8 sim_reset(void *p)
{
	int i;
	resets++; st = ROM; bits = 0; cur = 0; sel = -1;
	if (stuck)
		return 0;
	for (i = 0; i < n; i++) if (d[i].present) return 0;	/* presence */
	return 1;
}
static void func(u8 c)
{
	struct dev18 *x = selected();
	switch (c) {
	case 0x44: if (x) load(x); if (sel < 0) { int i; for (i = 0; i < n; i++) load(&d[i]); } st = READ_ONE; break;
	case 0xbe:
		if (x) memcpy(outbuf, x->sp, 9); else memset(outbuf, 0xff, 9);
		if (badcrc) { badcrc--; outbuf[8] ^= 0xff; }
		outn = 9; rd_i = 0; st = READ_SP; break;
	case 0x4e: rd_i = 0; st = WRITE_SP; break;
	case 0x48: case 0xb8: case 0xb4: default: st = READ_ONE; break;
	}
}
static u8 touch(void *p, u8 bit)
{
	int i;

	if (stuck)
		return 0;
	switch (st) {
	case ROM: case FUNC:
		cur |= (bit & 1) << bits;
		if (++bits == 8) {
			u8 c = cur; cur = 0; bits = 0;
			if (st == FUNC) { func(c); break; }
			if (c == 0x55) { match = 0; st = MATCH; }
			else if (c == 0xcc) { sel = -1; st = FUNC; }
			else if (c == 0x33) { struct dev18 *x = selected(); if (x) memcpy(outbuf, &x->id, 8); outn = 8; rd_i = 0; st = READ_SP; }
			else if (c == 0xf0) { st = SRCH; sb = 0; sphase = 0; alive = 0; for (i = 0; i < n; i++) if (d[i].present) alive |= 1u << i; }
			else st = IDLE; /* alarm search 0xec: nobody answers */
		}
		return bit;
	case MATCH:
		match |= (u64)(bit & 1) << bits;
		if (++bits == 64) {
			bits = 0; cur = 0; sel = -2; st = IDLE;
			for (i = 0; i < n; i++) if (d[i].present && d[i].id == match) { sel = i; st = FUNC; }
		}
		return bit;
	case SRCH: {
		u8 one = 1, zero = 1;
		for (i = 0; i < n; i++) if (alive & (1u << i)) { if ((d[i].id >> sb) & 1) zero = 0; else one = 0; }
		if (sphase == 0) { sphase = 1; return one; }
		if (sphase == 1) { sphase = 2; return zero; }
		for (i = 0; i < n; i++) if ((alive & (1u << i)) && ((d[i].id >> sb) & 1) != (bit & 1)) alive &= ~(1u << i);
		sphase = 0; if (++sb == 64) st = IDLE;
		return bit;
	}
	case READ_SP: {
		u8 r = rd_i < outn * 8 ? (outbuf[rd_i / 8] >> (rd_i % 8)) & 1 : 1;
		rd_i++; return r & bit;
	}
	case WRITE_SP: {
		struct dev18 *x = selected();
		if (x && rd_i < 24) { int b = 2 + rd_i / 8; if (bit) x->sp[b] |= 1 << (rd_i % 8); else x->sp[b] &= ~(1 << (rd_i % 8)); if (++rd_i == 24) x->sp[8] = w1_calc_crc8(x->sp, 8); }
		return bit;
	}
	case READ_ONE: return bit;
	default: return bit;
	}
	return bit;
}
static struct w1_bus_master bm = { .touch_bit = touch, .reset_bus = sim_reset };

static int __init w1sim_init(void)
{
	int i; char nm[16];
	dir = debugfs_create_dir("w1sim", NULL);
	if (n > MAXD) n = MAXD;
	for (i = 0; i < n; i++) {
		u64 id = 0x28ULL | ((0x0000a1b2c300ULL + i) << 8);
		id |= (u64)w1_calc_crc8((u8 *)&id, 7) << 56;
		d[i].id = id; d[i].t = 21 * 16 + i; d[i].present = 1;
		d[i].sp[0] = 0x50; d[i].sp[1] = 5; d[i].sp[2] = 0x4b; d[i].sp[3] = 0x46; d[i].sp[4] = 0x7f; d[i].sp[5] = 0xff; d[i].sp[6] = 0x0c; d[i].sp[7] = 0x10;
		d[i].sp[8] = w1_calc_crc8(d[i].sp, 8);
		snprintf(nm, sizeof nm, "t%d", i); debugfs_create_u32(nm, 0600, dir, &d[i].t);
		snprintf(nm, sizeof nm, "present%d", i); debugfs_create_u8(nm, 0600, dir, &d[i].present);
	}
	debugfs_create_u8("stuck", 0600, dir, &stuck);
	debugfs_create_u32("badcrc", 0600, dir, &badcrc);
	debugfs_create_u32("resets", 0400, dir, &resets);
	i = w1_add_master_device(&bm);
	if (i) debugfs_remove_recursive(dir);
	return i;
}
static void __exit w1sim_exit(void) { w1_remove_master_device(&bm); debugfs_remove_recursive(dir); }
module_init(w1sim_init); module_exit(w1sim_exit);
MODULE_LICENSE("GPL"); MODULE_DESCRIPTION("fake 1-wire bus with DS18B20s");
