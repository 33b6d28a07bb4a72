/* What the parts of the board share. Nobody outside includes this, but to place an xb_board as a static. */
#ifndef XB_INSIDE_H
#define XB_INSIDE_H

#include "xb_board.h"

enum { XB_NOTHING, XB_DO_MAP, XB_DO_OUTER, XB_DO_VERIFY, XB_DO_SWEEP, XB_DO_READ, XB_DO_SAMPLE, XB_DO_VMM };
enum { XB_FREE, XB_HELD_BY_QUERY, XB_HELD_BY_OPC, XB_HELD_BY_WAI };
enum { XB_IN_TEXT, XB_IN_QUOTE, XB_IN_HASH, XB_IN_LENGTH, XB_IN_BLOCK, XB_IN_WASTE };
enum { XB_PART_READ, XB_PART_PULSE };

/* Under AddressSanitizer the part of a message's buffer that holds nothing of it may not be touched. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define XB_HIDE(at, count) __asan_poison_memory_region(at, count)
#define XB_SHOW(m, count) \
    ((m)->length + (count) <= (m)->room ? __asan_unpoison_memory_region((m)->at + (m)->length, count) : (void)0)
#else
#define XB_HIDE(at, count) ((void)0)
#define XB_SHOW(m, count) ((void)0)
#endif

#define XB_TOO_LONG 0xFFFFFFFFu
#define XB_DETAIL_MAX 96
#define XB_ARGS_MAX 20
#define XB_ROOM ((XB_BLOCK_MAX + XB_TEXT_MAX + 7) / 8 * 8)
#define XB_CAP_MAX 1800

/* A message: its text, and behind each '#' of a block the block's payload. */
typedef struct {
    uint8_t *at;
    uint32_t room, length, text;
    uint32_t block_at[XB_BLOCKS_MAX], block_length[XB_BLOCKS_MAX];
    uint32_t position; /* of execution */
    uint32_t arrived;  /* in which transmission */
    int blocks, error, taken;
    int aborted; /* an abort released it: no action may begin in what is left */
    int path[4], path_nodes; /* header path: where each node begins, and how many */
    int path_length[4];
    int replies;
} xb_message;

typedef struct {
    int number;
    char detail[XB_DETAIL_MAX];
} xb_error;

typedef struct {
    int kind; /* 'x' number, 'w' word, '#' block */
    double value;
    char word[16];
    const uint8_t *block;
    uint32_t length;
} xb_argument;

typedef struct {
    double volts, gate;
    int range, average; /* range -1: automatic */
} xb_reading;

/* Pulses of a rectangle in firing order: rows, in a row groups that share a key, in a group shots. */
typedef struct {
    int row0, rows, col0, cols;
    int row; /* of the rectangle, where it stands */
    uint64_t key;
    int begun; /* whether a group of this row is under way */
    uint32_t shot, shots;
} xb_plan;

typedef struct {
    int kind;
    uint64_t slots_planned, slots_done, pulses_done;
    double seconds_planned, seconds_done;
} xb_account;

struct xb_board {
    const xb_caps *caps;
    const xb_hardware *calls;
    void *hw;
    /* wire */
    uint64_t before[2]; /* so that the buffers begin at a multiple of 8, and end before something else */
    uint8_t first[XB_ROOM], between[8], second[XB_ROOM], behind[8], third[XB_TEXT_MAX], after[8];
    xb_message message[3];
    xb_message *current, *waiting, *arriving;
    uint32_t transmission;
    int state, digits, digits_left;
    uint8_t quote;
    uint32_t length, left;
    int keep;
    uint64_t heard_us, silent_until_us, idle_since_us;
    int hold, running;
    char detail[XB_DETAIL_MAX];
    xb_error errors[XB_ERRORS_MAX];
    int error_first, error_count;
    /* status */
    int esr, ese, sre, opc_armed;
    uint32_t condition[2], event[2], enable[2]; /* operation, questionable */
    double watchdog;
    /* settings */
    int on;
    double read_volts, read_gate, vmm_gate;
    int read_range, average, vmm_range;
    uint64_t bits;
    /* what runs */
    xb_account now, last;
    xb_reading reading;
    xb_plan plan;
    int row0, rows, col0, cols, row, shot, part;
    uint32_t point, points, swept;
    int fetched_map, fetched_sweep, fetched_program;
    uint32_t map_cells, program_cells;
    double sum[XB_COLS_MAX], squares[XB_COLS_MAX];
    uint8_t range[XB_COLS_MAX], over[XB_LINES_MAX], anyover[XB_COLS_MAX];
    double amps[XB_LINES_MAX], volts[XB_LINES_MAX], gates[XB_LINES_MAX];
    int columns[XB_LINES_MAX];
    uint8_t row_on[XB_ROWS_MAX], col_on[XB_COLS_MAX];
    uint8_t job[XB_BLOCK_MAX], map[9 * XB_CELLS_MAX], sweep[9 * XB_POINTS_MAX], result[XB_RESULT_MAX];
    double compliance, dwell, cell_volts, cell_gate, rate, width, set_volts, set_gate, reset_volts, reset_gate;
    int cell_row, cell_col, sample_range, reverse, turns, turn, phase, product_range;
    /* read-verify */
    double target[XB_CELLS_MAX], seen[XB_CELLS_MAX], tolerance, set_gates[3], resets[3];
    uint16_t pulses[XB_CELLS_MAX], stage[XB_CELLS_MAX];
    uint8_t status[XB_CELLS_MAX];
    int8_t polarity[XB_CELLS_MAX];
    uint32_t pulses_max, ticks;
    char capability[XB_CAP_MAX];
    int capability_length;
};

/* xb_text.c */
uint16_t xb_u16(const uint8_t *at);
int16_t xb_i16(const uint8_t *at);
uint32_t xb_u32(const uint8_t *at);
float xb_f32(const uint8_t *at);
void xb_put16(uint8_t *at, uint16_t value);
void xb_put32(uint8_t *at, uint32_t value);
void xb_put_f32(uint8_t *at, double value);
int xb_number(const char *text, int length, char unit, double *value);
int xb_is_word(const char *pattern, const char *text, int length);
int xb_header(const char *pattern, const uint8_t *text, const int *at, const int *length, int nodes);

/* xb_wire.c */
void xb_fail(xb_board *b, int number);
void xb_next_error(xb_board *b);
void xb_all_errors(xb_board *b);
void xb_answer(xb_board *b, const char *text);
void xb_answer_block(xb_board *b, const uint8_t *payload, uint32_t length);
void xb_run(xb_board *b);
void xb_finished(xb_board *b);

/* xb_commands.c */
void xb_execute_unit(xb_board *b, xb_message *m, uint32_t from, uint32_t to);
int xb_unit_aborts(const xb_board *b, const xb_message *m, uint32_t from, uint32_t to);
uint32_t xb_unit_end(const xb_message *m, uint32_t from);

/* xb_actions.c */
int xb_may_begin(xb_board *b);
void xb_begin(xb_board *b, int kind);
void xb_stop(xb_board *b);
void xb_go_off(xb_board *b);
void xb_go_on(xb_board *b);
void xb_slot(xb_board *b);
void xb_plan_begin(xb_board *b, int row0, int rows, int col0, int cols);
void xb_plan_cost(xb_board *b, uint64_t *slots, double *seconds);
int xb_range_for(const double *ranges, int count, double amps);
void xb_verify_begin(xb_board *b);
uint64_t xb_verify_rows(const xb_board *b);

#endif
