// A dense layer with the activation, norm and dropout that follow it, in this order.
#pragma once

#include "maps.h"
#include "values.h"

namespace ws {

struct DenseShape {
  bool biased, active, normed, dropped;
  bool plain() const { return !active && !normed && !dropped; }
};

template <class T> class Dense : public Layer<T> {
 public:
  Dense(DenseShape shape, Value<T>& in, Value<T>& out, Place place, Scratch<T>& scratch)
      : s_(shape), in_(in), out_(out), place_(place), scratch_(scratch), n_(in.n),
        ins_(in.channels * in.side * in.side) {
    xt_.make((size_t)ins_ * n_);
    if (!s_.plain()) {
      z_.make((size_t)out.channels * n_);
      y_.make((size_t)out.channels * n_);
      dz_.make((size_t)out.channels * n_);
    }
    forward_ = Map::dense(ins_, n_);
    backward_ = Map::dense(out.channels, n_);
    outer_ = Map::dense(n_, ins_);
    norms_.resize(out.channels);
  }

  void forward(Net<T>& net, bool training) override {
    const int outs = out_.channels;
    const T* w = net.weights + place_.at;
    const Rows<T> rows{w, ins_};
    w += (ptrdiff_t)outs * ins_;
    const T* bias = s_.biased ? w : nullptr;
    if (s_.biased) w += outs;
    T* z = s_.plain() ? out_.x.p : z_.p;
    multiply(outs, ins_, forward_, rows, in_.x.p, bias, z, n_);
    if (s_.plain()) return;
    const T* mask = training && s_.dropped ? net.masks[place_.mask] : nullptr;
    with_function(s_.active, net.activation, [&](auto a) {
      for (int o = 0; o < outs; o++) {
        T* y = y_.p + (ptrdiff_t)o * n_;
        activate<T, decltype(a)>(z + (ptrdiff_t)o * n_, 1, n_, false, Norm<T>{}, y, 0);
        auto& norm = norms_[o] = s_.normed ? norm_of(y, n_, w[o], w[outs + o],
                                                     net.stats[place_.stat] + o,
                                                     net.stats[place_.stat + 1] + o, training)
                                           : Norm<T>{};
        T* out = out_.x.p + (ptrdiff_t)o * n_;
        along<T>(n_, [&](ptrdiff_t j, int lanes, bool whole) {
          put(out + j, fetch(y + j, lanes, whole) * norm.slope + norm.base, lanes, whole);
        });
        if (mask)
          for (int i = 0; i < n_; i++) out[i] *= mask[(ptrdiff_t)i * outs + o];
      }
    });
  }

  void backward(Net<T>& net) override {
    const int outs = out_.channels;
    T* g = net.gradient + place_.at;
    T* bias = s_.biased ? g + (ptrdiff_t)outs * ins_ : nullptr;
    T* shift = g + (ptrdiff_t)outs * (ins_ + s_.biased);
    const T* dz = s_.plain() ? out_.d : dz_.p;
    if (!s_.plain()) through(net, shift, bias);
    else if (bias)
      for (int o = 0; o < outs; o++) {
        Vec<T> total{};
        along<T>(n_, [&](ptrdiff_t j, int lanes, bool whole) {
          total += fetch(dz + (ptrdiff_t)o * n_ + j, lanes, whole);
        });
        bias[o] = sum<T>(total);
      }
    const T* samples = in_.samples;
    if (!samples) transpose(ins_, n_, in_.x.p, xt_.p), samples = xt_.p;
    multiply(outs, n_, outer_, Rows<T>{dz, n_}, samples, nullptr, g, ins_);
    if (!in_.wanted) return;
    const T* w = net.weights + place_.at;
    pack(ins_, 1, outs, scratch_.packed.p,
         [&](int i, int, int o) { return w[(ptrdiff_t)o * ins_ + i]; });
    multiply(ins_, outs, backward_, Packed<T>{scratch_.packed.p}, dz, nullptr, in_.begin(), n_);
    in_.end();
  }

 private:
  // Back through dropout, norm and activation.
  void through(Net<T>& net, T* shift, T* bias) {
    const int outs = out_.channels;
    const T* mask = s_.dropped ? net.masks[place_.mask] : nullptr;
    with_function(s_.active, net.activation, [&](auto act) {
      using A = decltype(act);
      for (int o = 0; o < outs; o++) {
        const ptrdiff_t at = (ptrdiff_t)o * n_;
        T* d = out_.d + at;
        const T *y = y_.p + at, *z = z_.p + at;
        const Norm<T> norm = norms_[o];
        if (mask)
          for (int i = 0; i < n_; i++) d[i] *= mask[(ptrdiff_t)i * outs + o];
        Vec<T> sd{}, sy{};
        along<T>(n_, [&](ptrdiff_t j, int lanes, bool whole) {
          const Vec<T> v = fetch(d + j, lanes, whole);
          sd += v;
          sy += v * (fetch(y + j, lanes, whole) - norm.mean);
        });
        const T total = sum<T>(sd), weighted = sum<T>(sy) * norm.inverse;
        if (s_.normed) shift[o] = total, shift[outs + o] = weighted;
        const T a = s_.normed ? norm.slope * total / n_ : 0;
        const T c = s_.normed ? norm.slope * weighted / n_ * norm.inverse : 0;
        Vec<T> sz{};
        along<T>(n_, [&](ptrdiff_t j, int lanes, bool whole) {
          const Vec<T> v = fetch(y + j, lanes, whole);
          const Vec<T> da = fetch(d + j, lanes, whole) * norm.slope - a - (v - norm.mean) * c;
          const Vec<T> dz = da * A::template df<T>(fetch(z + j, lanes, whole), v);
          put(dz_.p + at + j, dz, lanes, whole);
          sz += only<T>(dz, lanes, whole);
        });
        if (bias) bias[o] = sum<T>(sz);
      }
    });
  }

  // out[row] = left [rows, depth] times `in`, as the map cuts it.
  template <class A>
  void multiply(int rows, int depth, const Map& map, A left, const T* in, const T* bias, T* out,
                ptrdiff_t out_row) {
    product(rows, depth, map.lines, map.length, left, map.offsets.data(), in, bias, out, out_row);
  }

  DenseShape s_;
  Value<T>&in_, &out_;
  Place place_;
  Scratch<T>& scratch_;
  int n_, ins_;
  Array<T> xt_, z_, y_, dz_;
  Map forward_, backward_, outer_;
  std::vector<Norm<T>> norms_;
};

}  // namespace ws
