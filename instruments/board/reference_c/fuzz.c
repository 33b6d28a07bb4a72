/* fuzz BYTES [SEED]: throws that many bytes at the board in pieces of every size, most of them messages with something
 * wrong, and asks from time to time whether it still answers. Build it with -fsanitize=address,undefined.
 */
#include "step_cells.h"
#include "xb_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static xb_board board;
static step_cells cells;
static uint64_t state, time_us, errors, replies;
static char said[64];
static size_t said_length;

static uint64_t clock_us(void) { return time_us += 10; }

static void hear(const uint8_t *bytes, size_t count) {
    replies += count;
    for (size_t k = 0; k < count; k++) {
        if (said_length == sizeof said) memmove(said, said + 1, --said_length);
        said[said_length++] = (char)bytes[k];
    }
}

static uint32_t drawn(uint32_t below) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)(state >> 32) % below;
}

static const char *const UNITS[] = {
    "*IDN?", "*RST", "*CLS", "*ESE 32", "*ESR?", "*SRE 255", "*STB?", "*OPC", "*OPC?", "*WAI", "*TST?", "ABOR", "OUTP ON",
    ":OUTPut:STATe 1", "OUTP OFF", "SYST:ERR?", ":SYSTem:ERRor:ALL?", "SYST:CAP?", "SYST:SYNC? 12345", "SYST:WATC 0.2",
    "SYST:WATC:SUSP 1e3", "STAT:OPER?", "STAT:QUES:ENAB #HFF", "SOUR:READ:VOLT 200MV", "SOUR:READ:GATE MAX", "SENS:RANG 10UA",
    "SENS:RANG AUTO", "SENS:RANG?", "SENS:AVER?", "OUTP?", "*ESE?", "STAT:OPER:COND?", "STAT:QUES?", "STAT:OPER:ENAB 255",
    "STAT:PRES", "SOUR:VMM:GATE 2", "SOUR:VMM:GATE?", "SOUR:READ:VOLT?", "SYST:ERR:COUN?", "SYST:WATC?", "SENS:VMM:RANG?", "SENS:AVER 4", "READ:MAP? 0,16,0,8", "READ:MAP? 3,2,1,1", "FETC:MAP?", "SAMP? 1,1,0.1,5,1e3,7",
    "PULS:LAST?", "FETC:SWE?", "FETC:PROG?", "UPD:SEED 7", "DIAG:OFFS?", "DIAG:REF?", "DIAG:OPEN?", "ADC:MODE LIN",
    "ADC:RAMP:X?", "SIM:CLOC?", "SENS:VMM:RANG 1e-3", "SOUR:ZERO", "READ:VOLT NAN", "\"no;thing\"", "PULS:MAP 0,1,0,1,#H1",
};

/* Planes of a pulse map that nothing is wrong with. */
static void pulses(uint8_t *at, uint32_t n) {
    for (uint32_t k = 0; k < n; k++) {
        xb_put16(at + 2 * k, (uint16_t)drawn(65535) ^ 0x8000u);
        if (xb_i16(at + 2 * k) == -32768) xb_put16(at + 2 * k, 0);
        xb_put16(at + 2 * n + 2 * k, (uint16_t)drawn(32768));
        xb_put16(at + 4 * n + 2 * k, (uint16_t)drawn(4));
        xb_put32(at + 6 * n + 4 * k, 5 + drawn(3) * 400);
    }
}

/* A command with blocks of the right length, or of a slightly wrong one. */
static size_t with_blocks(uint8_t *at) {
    static const struct {
        const char *head;
        int blocks;
        uint32_t length[2];
    } made[] = {{"PULS:MAP 2,2,1,3,", 1, {60, 0}}, {"PULS:MAP 0,16,0,8,", 1, {1280, 0}}, {"SWE:RUN 1,1,1e-3,1ms,", 1, {80, 0}},
                {"VMM:FORW? 3,", 1, {96, 0}},      {"VMM:REV? 2,", 1, {32, 0}},
                {"UPD:OUT 3,1us,0.5,5,0.5,5,", 2, {32, 16}}, {"PROG:VER 0,2,0,2,1e-6,9,1US,2,1,3,0.1,1,2,0.1,5,", 1, {16, 0}}};
    uint32_t which = drawn(sizeof made / sizeof *made);
    size_t size = (size_t)sprintf((char *)at, "%s", made[which].head);
    for (int k = 0; k < made[which].blocks; k++) {
        uint32_t length = made[which].length[k] + (drawn(8) ? 0 : drawn(5)) - 2 * !drawn(9), small = drawn(3) != 0;
        char digits[12];
        sprintf(digits, "%u", (unsigned)length);
        size += (size_t)sprintf((char *)at + size, "%s#%d%s", k ? "," : "", (int)strlen(digits), digits);
        for (uint32_t n = 0; n < length; n++) at[size + n] = (uint8_t)(small ? (n % 2 ? 0 : drawn(60)) : drawn(256));
        if (which < 2 && small && length == made[which].length[0]) pulses(at + size, length / 10);
        size += length;
    }
    return size;
}

static size_t message(uint8_t *at) {
    size_t size = 0;
    for (uint32_t units = 1 + drawn(5); units; units--) {
        if (size) at[size++] = ';';
        if (drawn(2)) at[size++] = ':';
        if (drawn(4) == 0)
            size += with_blocks(at + size);
        else
            size += (size_t)sprintf((char *)at + size, "%s", UNITS[drawn(sizeof UNITS / sizeof *UNITS)]);
    }
    for (uint32_t flips = drawn(4) ? 0 : 1 + drawn(6); flips; flips--) at[drawn((uint32_t)size)] = (uint8_t)drawn(256);
    if (drawn(10) == 0) size -= drawn((uint32_t)size);
    at[size++] = '\n';
    return size;
}

/* Whatever came before, a client that connects anew must be answered. */
static int still_answers(void) {
    static const uint8_t question[] = "*CLS;:ABOR;:SYST:SYNC? 987654321\n";
    xb_client_lost(&board);
    while (xb_poll(&board)) continue;
    said_length = 0;
    xb_feed(&board, question, sizeof question - 1);
    while (xb_poll(&board)) continue;
    return said_length >= 10 && !memcmp(said + said_length - 10, "987654321\n", 10);
}

int main(int count, char **arguments) {
    static uint8_t bytes[1 << 17];
    uint64_t wanted = count > 1 ? strtoull(arguments[1], 0, 10) : 1000000, given = 0, asked = 0;
    state = 0x9E3779B97F4A7C15u ^ (count > 2 ? strtoull(arguments[2], 0, 10) : 1) << 1;
    cells.now_us = clock_us;
    cells.send = hear;
    if (xb_init(&board, &STEP_CAPS, &STEP_CALLS, &cells)) return 1;
    while (given < wanted) {
        size_t size = message(bytes), at = 0;
        if (drawn(200) == 0) /* plain noise, which knows no lines */
            for (size = 1 + drawn(4000), at = 0; at < size; at++) bytes[at] = (uint8_t)drawn(256);
        if (drawn(100) == 0) { /* a text that is longer than any */
            for (size = 0; size < 500 + drawn(20000); size++) bytes[size] = (uint8_t)('A' + drawn(26));
            bytes[size++] = '\n';
        }
        for (at = 0; at < size;) {
            size_t some = drawn(3) ? size - at : 1 + drawn((uint32_t)(size - at));
            xb_feed(&board, bytes + at, some);
            at += some;
            for (uint32_t turns = drawn(40); turns; turns--) xb_poll(&board);
        }
        given += size;
        if (drawn(50) == 0) time_us += 6000000, xb_poll(&board); /* a silence */
        if (drawn(20) == 0) {
            errors += (uint64_t)board.error_count;
            asked++;
            if (!still_answers()) return printf("no answer after %llu bytes\n", (unsigned long long)given), 2;
        }
        for (int row = 0; row < STEP_ROWS; row++)
            for (int col = 0; col < STEP_COLS; col++)
                if (!(cells.weight[row][col] >= -1.0 && cells.weight[row][col] <= 1.0)) return printf("a cell left its range\n"), 3;
        if (!board.on && cells.connected) return printf("OFF and connected after %llu bytes\n", (unsigned long long)given), 4;
    }
    printf("%llu bytes, %llu bytes of replies, answered %llu of %llu times, %llu errors in queues\n", (unsigned long long)given,
           (unsigned long long)replies, (unsigned long long)asked, (unsigned long long)asked, (unsigned long long)errors);
    return 0;
}
