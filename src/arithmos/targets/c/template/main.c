/*
 * $name: read samples, run the network on each, print its outputs. Written by arithmos.
 *
 *   $name [--binary] [FILE]   samples from FILE, or from standard input
 *   $name --self-test         run the samples of golden.h and compare; status 1 at the first difference
$trace_usage *
 * Text: integers between white space, one sample after the other, the inputs of a sample in the order of $name.h, each
 * in C order of its shape. Printed: one line for each output of each sample.
 * --binary: the same order, every integer in the bytes of its type, least significant first, in and out.
 * Status: 0 done, 1 the self-test failed, 2 bad usage or input (a number outside the range of its input is refused).
 */
#include <stdio.h>
#include <string.h>

#include "$name.h"
#include "golden.h"

typedef struct {
    const char *name;
    void *data;
    const void *golden;
    long size;
    int bytes, is_signed;
    int64_t lowest, highest;
} port;

$buffers
static const port inputs[] = {
$inputs
};

static const port outputs[] = {
$outputs
};

enum { N_INPUTS = sizeof inputs / sizeof *inputs, N_OUTPUTS = sizeof outputs / sizeof *outputs };

static int64_t element(const void *data, int bytes, int is_signed, long i)
{
    switch (is_signed ? -bytes : bytes) {
    case -1: return ((const int8_t *)data)[i];
    case 1: return ((const uint8_t *)data)[i];
    case -2: return ((const int16_t *)data)[i];
    case 2: return ((const uint16_t *)data)[i];
    case -4: return ((const int32_t *)data)[i];
    default: return ((const int64_t *)data)[i];
    }
}

static void put(const port *to, long i, int64_t value)
{
    switch (to->is_signed ? -to->bytes : to->bytes) {
    case -1: ((int8_t *)to->data)[i] = (int8_t)value; break;
    case 1: ((uint8_t *)to->data)[i] = (uint8_t)value; break;
    case -2: ((int16_t *)to->data)[i] = (int16_t)value; break;
    case 2: ((uint16_t *)to->data)[i] = (uint16_t)value; break;
    case -4: ((int32_t *)to->data)[i] = (int32_t)value; break;
    default: ((int64_t *)to->data)[i] = value;
    }
}

/* The readers answer 1 for a number, 0 for the end of the file, -1 for anything else. */

static int read_text(FILE *file, int64_t *value)
{
    int c = getc(file), negative = 0, digits = 0;
    uint64_t magnitude = 0;
    while (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ',')
        c = getc(file);
    if (c == EOF)
        return 0;
    if (c == '-' || c == '+') {
        negative = c == '-';
        c = getc(file);
    }
    for (; c >= '0' && c <= '9'; c = getc(file), digits = 1) {
        if (magnitude > (UINT64_MAX >> 1) / 10)
            return -1;
        magnitude = magnitude * 10 + (uint64_t)(c - '0');
    }
    if (!digits || !(c == EOF || c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ','))
        return -1;
    if (magnitude > UINT64_MAX >> 1) {
        *value = -INT64_MAX - 1;
        return negative && magnitude == (UINT64_MAX >> 1) + 1 ? 1 : -1;
    }
    *value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return 1;
}

static int read_binary(FILE *file, int bytes, int is_signed, int64_t *value)
{
    uint64_t bits = 0, sign = (uint64_t)1 << (8 * bytes - 1);
    for (int b = 0; b < bytes; b++) {
        int c = getc(file);
        if (c == EOF)
            return b == 0 ? 0 : -1;
        bits |= (uint64_t)c << (8 * b);
    }
    if (is_signed && (bits & sign))
        *value = -(int64_t)(~bits & (sign - 1)) - 1;
    else
        *value = (int64_t)bits;
    return 1;
}

static void write_binary(int64_t value, int bytes)
{
    for (int b = 0; b < bytes; b++)
        putchar((int)((uint64_t)value >> (8 * b) & 255));
}

/* 1: a whole sample was read; 0: the file ended before it; 2: it cannot be used, and why was said. */
static int read_sample(FILE *file, int binary, long sample)
{
    for (int n = 0; n < N_INPUTS; n++) {
        for (long i = 0; i < inputs[n].size; i++) {
            int64_t value = 0;
            int status = binary ? read_binary(file, inputs[n].bytes, inputs[n].is_signed, &value) : read_text(file, &value);
            if (status == 0 && n == 0 && i == 0)
                return 0;
            if (status <= 0) {
                fprintf(stderr, "%s[%ld] of sample %ld %s\n", inputs[n].name, i, sample,
                        status == 0 ? "is missing: the input ends there" : "is not an integer");
                return 2;
            }
            if (value < inputs[n].lowest || value > inputs[n].highest) {
                fprintf(stderr, "%s[%ld] of sample %ld is %lld, the network takes %lld to %lld\n", inputs[n].name, i,
                        sample, (long long)value, (long long)inputs[n].lowest, (long long)inputs[n].highest);
                return 2;
            }
            put(&inputs[n], i, value);
        }
    }
    return 1;
}

static int self_test(void)
{
    for (long sample = 0; sample < ${upper}_GOLDEN_SAMPLES; sample++) {
        for (int n = 0; n < N_INPUTS; n++) {
            size_t bytes = (size_t)inputs[n].size * (size_t)inputs[n].bytes;
            memcpy(inputs[n].data, (const char *)inputs[n].golden + (size_t)sample * bytes, bytes);
        }
        $run;
        for (int n = 0; n < N_OUTPUTS; n++) {
            const port *out = &outputs[n];
            for (long i = 0; i < out->size; i++) {
                int64_t is = element(out->data, out->bytes, out->is_signed, i);
                int64_t should = element(out->golden, out->bytes, out->is_signed, sample * out->size + i);
                if (is != should) {
                    printf("self-test failed: %s[%ld] of sample %ld is %lld, the interpreter says %lld\n", out->name, i,
                           sample, (long long)is, (long long)should);
                    return 1;
                }
            }
        }
    }
    printf("self-test passed: %d sample%s\n", ${upper}_GOLDEN_SAMPLES, ${upper}_GOLDEN_SAMPLES == 1 ? "" : "s");
    return 0;
}
$trace_code
int main(int argc, char **argv)
{
    int binary = 0, ${trace_flag}status = 1;
    FILE *file = stdin;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--self-test"))
            return self_test();
        else if (!strcmp(argv[i], "--binary"))
            binary = 1;
$trace_option        else if (argv[i][0] == '-' || file != stdin) {
            fprintf(stderr, "usage: %s $usage\n", argv[0]);
            return 2;
        } else if (!(file = fopen(argv[i], "rb"))) {
            fprintf(stderr, "%s cannot be opened\n", argv[i]);
            return 2;
        }
    }
    for (long sample = 0; (status = read_sample(file, binary, sample)) == 1; sample++) {
        $run_main;
        for (int n = 0; n < N_OUTPUTS; n++) {
            for (long i = 0; i < outputs[n].size; i++) {
                int64_t value = element(outputs[n].data, outputs[n].bytes, outputs[n].is_signed, i);
                if (binary)
                    write_binary(value, outputs[n].bytes);
                else
                    printf("%lld%c", (long long)value, i + 1 < outputs[n].size ? ' ' : '\n');
            }
        }
    }
    return status;
}
