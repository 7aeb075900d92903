// SPDX-License-Identifier: GPL-2.0
/*
 * i2csim: I2C adapters whose chips answer real transfers (I2C_RDWR, which i2c-stub does not know).
 *
 * insmod i2csim.ko chips=1-76-r8,1-48-r16,2-44-script   bus-address-kind; each bus gets an adapter of its number
 *
 *   r8      256 registers of 8 bits behind a pointer that moves on (MCP23017)
 *   r16     256 registers of 16 bits, high byte first, behind a pointer that stays (ADS1115, INA219, MCP9808)
 *   bosch   r8, but what is written is pairs of a register and its value (BMP280, BME280)
 *   bmp180  r8; writing 0x2e to register 0xf4 puts registers 0 to 2 into 0xf6, anything else registers 4 to 6: its two conversions
 *   ina219  r16; current (4) and power (3) are what the datasheet makes of shunt voltage (1), bus voltage (2) and calibration (5)
 *   script  what was written chooses the answer to the reads behind it (SHT4x, AHT20, BH1750, SCD4x)
 *
 * /sys/kernel/debug/i2csim/1-76/data   the registers, or the script: records of one byte length and a command, one byte length and its
 *                                      answer; the longest command that the written bytes begin with counts, the empty one is for reads
 *                                      before any write
 * /sys/kernel/debug/i2csim/1-76/gone   u8: 1 = the chip is unplugged, nobody acknowledges its address
 * /sys/kernel/debug/i2csim/1-76/writes u32: messages written to it so far
 * /sys/kernel/debug/i2csim/bus1/nak     u32: the next N transfers are not acknowledged
 * /sys/kernel/debug/i2csim/bus1/hang_ms u32: every transfer takes this long and then fails with -ETIMEDOUT
 * /sys/kernel/debug/i2csim/bus1/garble  u32: the next N messages that are read come with flipped bits
 * /sys/kernel/debug/i2csim/bus1/xfers   u32: transfers so far
 */
#include <linux/module.h>
#include <linux/i2c.h>
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/mutex.h>

#define MAXCHIPS 24
#define MAXBUSES 4
#define DATA 2048

enum kind { R8, BOSCH, BMP180, R16, INA219, SCRIPT };

static const char *const kinds[] = { "r8", "bosch", "bmp180", "r16", "ina219", "script" };

struct bus {
	struct i2c_adapter adap;
	int nr;
	u32 nak, hang_ms, garble, xfers;
};

struct chip {
	int bus;
	u16 addr;
	enum kind kind;
	u8 gone;
	u32 writes;
	u8 ptr;
	size_t answer;	/* of a script: where its record's answer begins; 0: none */
	size_t size;	/* of data */
	u8 data[DATA];
};

static char *chips_arg[MAXCHIPS];
static int nchips;
module_param_array_named(chips, chips_arg, charp, &nchips, 0444);

static struct chip *chips;
static struct bus buses[MAXBUSES];
static int nbuses;
static DEFINE_MUTEX(lock);
static struct dentry *dir;

static struct chip *find(struct bus *b, u16 addr)
{
	int i;

	for (i = 0; i < nchips; i++)
		if (chips[i].bus == b->nr && chips[i].addr == addr && !chips[i].gone)
			return &chips[i];
	return NULL;
}

/* choose finds the answer to what was written: its position behind the command, 0 if there is none. */
static size_t choose(struct chip *c, const u8 *written, size_t n)
{
	size_t at = 0, best = 0, longest = 0;

	while (at < c->size) {
		size_t cmd = c->data[at], ans = at + 1 + cmd;

		if (ans >= c->size || ans + 1 + c->data[ans] > c->size)
			break;
		if (cmd <= n && !memcmp(&c->data[at + 1], written, cmd) && (!best || cmd > longest)) {
			best = ans;
			longest = cmd;
		}
		at = ans + 1 + c->data[ans];
	}
	return best;
}

static s32 reg16(struct chip *c, int reg)
{
	return (s16)(c->data[2 * reg] << 8 | c->data[2 * reg + 1]);
}

static void put16(struct chip *c, int reg, s32 v)
{
	c->data[2 * reg] = v >> 8;
	c->data[2 * reg + 1] = v;
}

/* multiply is what an INA219 does with its calibration (datasheet, equations 4 and 5). */
static void multiply(struct chip *c)
{
	s32 current_ = reg16(c, 1) * (reg16(c, 5) & 0xfffe) / 4096;

	put16(c, 4, current_);
	put16(c, 3, abs(current_) * ((reg16(c, 2) & 0xffff) >> 3) / 5000);
}

static void written(struct chip *c, const u8 *b, size_t n)
{
	size_t i;

	c->writes++;
	if (!n)
		return;
	switch (c->kind) {
	case SCRIPT:
		c->answer = choose(c, b, n);
		break;
	case BOSCH:
		c->ptr = b[0];
		for (i = 0; i + 1 < n; i += 2)
			c->data[b[i]] = b[i + 1];
		break;
	case R8:
	case BMP180:
		c->ptr = b[0];
		for (i = 1; i < n; i++) {
			if (c->kind == BMP180 && c->ptr == 0xf4) {
				memcpy(&c->data[0xf6], &c->data[b[i] == 0x2e ? 0 : 4], 3);
				c->data[c->ptr++] = b[i] & ~0x20;	/* the conversion is over */
				continue;
			}
			c->data[c->ptr++] = b[i];
		}
		break;
	case R16:
	case INA219:
		c->ptr = b[0];
		for (i = 1; i < n; i++)
			c->data[2 * c->ptr + (i - 1) % 2] = b[i];
		if (c->kind == INA219)
			multiply(c);
		break;
	}
}

static u8 answer(struct chip *c, size_t i)
{
	switch (c->kind) {
	case R8:
	case BOSCH:
	case BMP180:
		return c->data[c->ptr++];
	case R16:
	case INA219:
		return c->data[2 * c->ptr + i % 2];
	default:
		if (!c->answer)
			c->answer = choose(c, NULL, 0);
		if (!c->answer || i >= c->data[c->answer])
			return 0xff;	/* nobody pulls the line down */
		return c->data[c->answer + 1 + i];
	}
}

static int transfer(struct bus *b, struct i2c_msg *m, int n)
{
	int i, j;

	for (i = 0; i < n; i++) {
		struct chip *c = find(b, m[i].addr);

		if (!c)
			return -ENXIO;
		if (!(m[i].flags & I2C_M_RD)) {
			written(c, m[i].buf, m[i].len);
			continue;
		}
		for (j = 0; j < m[i].len; j++) {
			m[i].buf[j] = answer(c, j);
			if (b->garble)
				m[i].buf[j] ^= 0x5a;
		}
		if (b->garble)
			b->garble--;
	}
	return n;
}

static int i2csim_xfer(struct i2c_adapter *adap, struct i2c_msg *m, int n)
{
	struct bus *b = i2c_get_adapdata(adap);
	u32 hang;
	int ret;

	mutex_lock(&lock);
	b->xfers++;
	hang = b->hang_ms;
	if (hang) {
		ret = -ETIMEDOUT;
	} else if (b->nak) {
		b->nak--;
		ret = -ENXIO;
	} else {
		ret = transfer(b, m, n);
	}
	mutex_unlock(&lock);
	if (hang)
		msleep(hang);
	return ret;
}

static u32 i2csim_func(struct i2c_adapter *adap)
{
	return I2C_FUNC_I2C | I2C_FUNC_SMBUS_EMUL;
}

static const struct i2c_algorithm algo = { .master_xfer = i2csim_xfer, .functionality = i2csim_func };

static ssize_t data_read(struct file *f, char __user *to, size_t n, loff_t *at)
{
	struct chip *c = f->private_data;

	return simple_read_from_buffer(to, n, at, c->data, c->size);
}

static ssize_t data_write(struct file *f, const char __user *from, size_t n, loff_t *at)
{
	struct chip *c = f->private_data;
	ssize_t r;

	mutex_lock(&lock);
	if (c->kind == SCRIPT && *at == 0) {	/* a new script */
		c->answer = 0;
		c->size = 0;
	}
	r = simple_write_to_buffer(c->data, DATA, at, from, n);
	if (r > 0 && c->size < *at)
		c->size = *at;
	mutex_unlock(&lock);
	return r;
}

static const struct file_operations data_ops = {
	.owner = THIS_MODULE, .open = simple_open, .read = data_read, .write = data_write, .llseek = default_llseek,
};

static struct bus *bus_of(int nr)
{
	int i;

	for (i = 0; i < nbuses; i++)
		if (buses[i].nr == nr)
			return &buses[i];
	return NULL;
}

static int add_bus(int nr)
{
	struct bus *b = &buses[nbuses];
	struct dentry *d;
	char name[16];
	int r;

	if (nbuses == MAXBUSES)
		return -ENOSPC;
	b->nr = nr;
	b->adap.owner = THIS_MODULE;
	b->adap.algo = &algo;
	b->adap.nr = nr;
	snprintf(b->adap.name, sizeof(b->adap.name), "i2csim %d", nr);
	i2c_set_adapdata(&b->adap, b);
	r = i2c_add_numbered_adapter(&b->adap);
	if (r)
		return r;
	nbuses++;
	snprintf(name, sizeof(name), "bus%d", nr);
	d = debugfs_create_dir(name, dir);
	debugfs_create_u32("nak", 0600, d, &b->nak);
	debugfs_create_u32("hang_ms", 0600, d, &b->hang_ms);
	debugfs_create_u32("garble", 0600, d, &b->garble);
	debugfs_create_u32("xfers", 0400, d, &b->xfers);
	return 0;
}

static int add_chip(struct chip *c, const char *arg)
{
	struct dentry *d;
	unsigned int addr;
	char kind[8], name[16];
	int i;

	if (sscanf(arg, "%d-%x-%7s", &c->bus, &addr, kind) != 3)
		return -EINVAL;
	c->addr = addr;
	i = match_string(kinds, ARRAY_SIZE(kinds), kind);
	if (i < 0)
		return i;
	c->kind = i;
	c->size = i == SCRIPT ? 0 : i >= R16 ? 512 : 256;
	if (!bus_of(c->bus)) {
		int r = add_bus(c->bus);

		if (r)
			return r;
	}
	snprintf(name, sizeof(name), "%d-%02x", c->bus, c->addr);
	d = debugfs_create_dir(name, dir);
	debugfs_create_file("data", 0600, d, c, &data_ops);
	debugfs_create_u8("gone", 0600, d, &c->gone);
	debugfs_create_u32("writes", 0400, d, &c->writes);
	return 0;
}

static void undo(void)
{
	debugfs_remove_recursive(dir);
	while (nbuses > 0)
		i2c_del_adapter(&buses[--nbuses].adap);
	kfree(chips);
}

static int __init i2csim_init(void)
{
	int i, r = 0;

	chips = kcalloc(MAXCHIPS, sizeof(*chips), GFP_KERNEL);
	if (!chips)
		return -ENOMEM;
	dir = debugfs_create_dir("i2csim", NULL);
	for (i = 0; i < nchips && !r; i++)
		r = add_chip(&chips[i], chips_arg[i]);
	if (r)
		undo();
	return r;
}

static void __exit i2csim_exit(void)
{
	undo();
}

module_init(i2csim_init);
module_exit(i2csim_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("I2C adapters with simulated chips, for tests");
